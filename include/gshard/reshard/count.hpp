// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/comm/message.hpp>
#include <gshard/core/bfloat16.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/reshard/exchange.hpp>

// Cost of a movement on an abstract mesh: the messages, bytes and temporaries that this rank would have.
// Computed from this rank's blocks, without a loop over the other ranks: an abstract mesh can have thousands of ranks.

namespace gshard::detail {

/// Overlaps between a window of one dimension and the blocks of that dimension, summed over all coordinates along some
/// of the axes that split it.
struct Overlaps {
  std::int64_t blocks = 0;    ///< blocks that overlap the window
  std::int64_t elements = 0;  ///< elements in all overlaps
  std::int64_t single = 0;    ///< blocks that overlap in one element
  std::int64_t whole = 0;     ///< blocks that contain the whole window
  AxisSet cuts;               ///< axes along which more than one block overlaps

  constexpr void add(Overlaps const& other, std::int64_t times = 1) {
    blocks += times * other.blocks;
    elements += times * other.elements;
    single += times * other.single;
    whole += times * other.whole;
    cuts |= other.cuts;
  }
};

/// Computes the Overlaps of `window` in a dimension that `axes` split: over all coordinates along the axes in
/// `varying`, and at this rank's coordinate along the other axes. The number of steps does not depend on the number of
/// ranks: of the blocks along an axis, the first, the last and one between them are computed, since all blocks between
/// lie in the window and are alike.
struct DimensionOverlaps {
  Range window;
  AxisList const& axes;
  AxisSet varying;
  MeshState const& mesh;

  /// Returns the overlaps of `block`, which the axes from position `level` on split further.
  Overlaps of(Range block, int level = 0) const {
    Range const shared = intersection(window, block);
    if (shared.size() == 0) return {};
    if (level == axes.size())
      return {1, shared.size(), shared.size() == 1 ? 1 : 0, shared.size() == window.size() ? 1 : 0, {}};
    int const axis = axes[level];
    auto part = [&](std::int64_t index) {
      Range const cut = shard_range(block.size(), mesh.size(axis), index);
      return of({block.begin + cut.begin, block.begin + cut.end}, level + 1);
    };
    if (!varying.contains(axis)) return part(mesh.coordinate(axis));
    std::int64_t const length = shard_range(block.size(), mesh.size(axis), 0).size();
    std::int64_t const first = (shared.begin - block.begin) / length;
    std::int64_t const last = (shared.end - 1 - block.begin) / length;
    Overlaps const at_first = part(first);
    Overlaps const at_last = last > first ? part(last) : Overlaps{};
    Overlaps const between = last > first + 1 ? part(first + 1) : Overlaps{};
    Overlaps all = at_first;
    all.add(at_last);
    all.add(between, last - first - 1);
    std::int64_t const sharing =
        (at_first.blocks > 0 ? 1 : 0) + (at_last.blocks > 0 ? 1 : 0) + (between.blocks > 0 ? last - first - 1 : 0);
    if (sharing > 1) all.cuts |= AxisSet::of(axis);
    return all;
  }
};

/// Pieces into which the blocks of another layout cut a block. Each piece is a box; replicas count once.
struct PieceCount {
  std::int64_t pieces = 1;
  std::int64_t elements = 1;
  std::int64_t contiguous = 0;  ///< pieces that are contiguous in the block
  bool in_order = true;         ///< whether the pieces follow one another in the order of the ranks
};

/// Counts the pieces of `block` that ranks which differ from this one along `axes` only hold in `layout`.
inline PieceCount pieces_of_block(Block const& block, Layout const& layout, Extents const& extents,
                                  MeshState const& mesh, AxisSet axes) {
  PieceCount count;
  std::int64_t whole_rows = 1;     // pieces that are whole in the dimensions seen so far
  std::int64_t pieces_of_row = 0;  // other contiguous pieces
  int before = mesh.axis_count();
  for (int d = layout.rank() - 1; d >= 0; --d) {
    Range const window{block.offsets[d], block.offsets[d] + block.extents[d]};
    Overlaps const along = DimensionOverlaps{window, layout.dimensions[d], axes, mesh}.of({0, extents[d]});
    count.pieces *= along.blocks;
    count.elements *= along.elements;
    pieces_of_row = whole_rows * (along.blocks - along.whole) + pieces_of_row * along.single;
    whole_rows *= along.whole;
    for (int i = layout.dimensions[d].size() - 1; i >= 0; --i) {
      int const axis = layout.dimensions[d][i];
      if (!along.cuts.contains(axis)) continue;
      count.in_order = count.in_order && axis < before;
      before = axis;
    }
  }
  count.contiguous = whole_rows + pieces_of_row;
  return count;
}

/// Returns the elements of the packed buffer of all pieces; 0 if they are contiguous in the block and need no buffer.
/// This rank's own piece is left out unless `own_is_packed`.
inline std::int64_t packed_elements(PieceCount const& all, Block const& own, Block const& block, bool own_is_packed) {
  std::int64_t const kept = own_is_packed ? 0 : product(own.extents);
  bool const apart = kept > 0 && !box_in(own, block).is_contiguous();
  return all.contiguous + (apart ? 1 : 0) == all.pieces ? 0 : all.elements - kept;
}

/// Adds to the ledger an exchange along `axes` that replaces this rank's block `before` by `after`, and allocates its
/// temporaries.
template <class T>
void count_exchange(MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& from,
                    Block const& before, Layout const& to, Block const& after) {
  Block const own = intersection(before, after);
  std::int64_t const kept = product(own.extents);
  std::int64_t const replicas = mesh.size(axes - to.split());
  PieceCount const sent = pieces_of_block(before, to, extents, mesh, axes);
  PieceCount const received = pieces_of_block(after, from, extents, mesh, axes);
  Scratch<AbstractSpace> scratch(mesh.memory());
  // A piece that several ranks receive is packed once. This rank's own piece is packed if other ranks receive it.
  scratch.get<T>(packed_elements(sent, own, before, replicas > 1));
  scratch.get<T>(packed_elements(received, own, after, false));
  comm::detail::only_counted(mesh.group(axes), Collective::all_to_all, sent.pieces * replicas - (kept > 0 ? 1 : 0),
                             (sent.elements * replicas - kept) * static_cast<std::int64_t>(sizeof(T)));
}

/// Adds to the ledger an all-gather or reduce-scatter along `axes`. `whole` is the block that contains the parts of all
/// ranks, `parts` the layout of the parts.
template <class T>
void count_ring(Collective collective, MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& parts,
                Block const& whole, Scratch<AbstractSpace>& scratch) {
  PieceCount const pieces = pieces_of_block(whole, parts, extents, mesh, axes);
  if (pieces.contiguous < pieces.pieces || !pieces.in_order) scratch.get<T>(pieces.elements);
  Group const& group = mesh.group(axes);
  comm::detail::only_counted(group, collective, group.size - 1,
                             comm::detail::ring_bytes<T>(group, product(whole.extents)));
}

/// Adds to the ledger an all-gather from layout `from` to block `after`.
template <class T>
void count_all_gather(MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& from,
                      Block const& after) {
  Scratch<AbstractSpace> scratch(mesh.memory());
  count_ring<T>(Collective::all_gather, mesh, axes, extents, from, after, scratch);
}

/// Adds to the ledger a reduce-scatter from block `before` to block `after` of layout `to`.
template <class T>
void count_reduce_scatter(MeshState const& mesh, AxisSet axes, Extents const& extents, Layout const& to,
                          Block const& before, Block const& after) {
  Scratch<AbstractSpace> scratch(mesh.memory());
  count_ring<T>(Collective::reduce_scatter, mesh, axes, extents, to, before, scratch);
  // reduce_scatter_rounded receives the parts of all ranks before it sums them.
  if constexpr (is_rounded<T>) scratch.get<T>(product(after.extents) * mesh.size(axes));
}

}  // namespace gshard::detail
