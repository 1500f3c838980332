// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/macros.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/tensor/loop_nest.hpp>
#include <gshard/tensor/shard_range.hpp>

namespace gshard::detail {

/// A block as (outer, length, inner): the dimension that something runs along, and those around it.
struct AlongShape {
  std::int64_t outer = 1;
  std::int64_t length = 1;
  std::int64_t inner = 1;

  AlongShape(Extents const& extents, int dimension) : length(extents[dimension]) {
    for (int d = 0; d < dimension; ++d) outer *= extents[d];
    for (int d = dimension + 1; d < extents.size(); ++d) inner *= extents[d];
  }

  std::int64_t rows() const { return outer * inner; }

  /// Whether a row is too much for one thread, or team, of too few.
  bool has_few_long_rows() const { return rows() < 64 && length > 1 << 14; }
};

/// For each dimension, whether it is reduced.
using ReducedDimensions = StaticVector<bool, max_rank>;

/// The loops over a block, none of them empty, as few as possible: each steps the position in the block, and that of
/// the row that the element belongs to where its dimensions are kept. Positions step by 1 in the innermost loop.
constexpr LoopNest<2> row_loops(Extents const& extents, Extents const& strides, ReducedDimensions const& reduced) {
  LoopNest<2> given;
  std::int64_t rows = 1;
  for (int d = 0; d < extents.size(); ++d)
    if (!reduced[d]) rows *= extents[d];
  for (int d = 0; d < extents.size(); ++d) {
    if (!reduced[d]) rows /= extents[d];
    given.push_inner(extents[d], {strides[d], reduced[d] ? 0 : rows});
  }
  LoopNest<2> loops = coalesce(given);
  if (loops.rank == 0 || loops.strides[loops.rank - 1][0] != 1) loops.push_inner(1, {1, 1});
  return loops;
}

/// The loops of a reduction: results lie packed in the order of `kept`. Both nests step the position in the block.
struct FoldLoops {
  LoopNest<1> kept;
  LoopNest<1> reduced;
  bool along = false;  ///< whether the innermost loop of the block is reduced, and not kept
};

constexpr FoldLoops fold_loops(Extents const& extents, Extents const& strides, ReducedDimensions const& reduced) {
  LoopNest<2> const loops = row_loops(extents, strides, reduced);
  FoldLoops result;
  for (int i = 0; i < loops.rank; ++i)
    (loops.strides[i][1] == 0 ? result.reduced : result.kept).push_inner(loops.extents[i], {loops.strides[i][0]});
  result.along = loops.strides[loops.rank - 1][1] == 0;
  return result;
}

constexpr FoldLoops fold_loops(Extents const& extents, ReducedDimensions const& reduced) {
  return fold_loops(extents, packed_strides(extents), reduced);
}

/// The loops of a reduction of what some parts have, (parts, rows).
constexpr FoldLoops over_parts(std::int64_t parts, std::int64_t rows) {
  FoldLoops result;
  result.kept.push_inner(rows, {1});
  result.reduced.push_inner(parts, {rows});
  return result;
}

/// Some of the reduced iterations, where they begin in the block, and the number of the first one where there is one
/// loop only.
struct FoldPiece {
  LoopNest<1> loops;
  std::int64_t position = 0;
  std::int64_t first = 0;
};

/// Cuts the longest reduced loop into parts.
struct FoldCut {
  int loop = 0;
  std::int64_t parts = 1;

  constexpr FoldCut(LoopNest<1> const& reduced, std::int64_t count) : parts(count) {
    for (int i = 1; i < reduced.rank; ++i)
      if (reduced.extents[i] > reduced.extents[loop]) loop = i;
  }

  /// The iterations of the longest loop in a part.
  GSHARD_FUNCTION constexpr Range range(LoopNest<1> const& reduced, std::int64_t part) const {
    return shard_range(reduced.extents[loop], parts, part);
  }

  GSHARD_FUNCTION constexpr FoldPiece piece(LoopNest<1> const& reduced, std::int64_t part) const {
    FoldPiece result{reduced, 0, 0};
    if (reduced.rank == 0) return result;
    Range const some = range(reduced, part);
    result.first = some.begin;
    result.loops.extents[loop] = some.size();
    result.position = some.begin * reduced.strides[loop][0];
    return result;
  }
};

}  // namespace gshard::detail
