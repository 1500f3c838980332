// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/launch.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/core/rows.hpp>
#include <gshard/reduce/kernels/loops.hpp>

// Reductions of a block in one pass over it. A term is called as term(position, row, index): the position in the block,
// the row of the result, and the index along the reduced dimension, where that is one. A store is called as store(row,
// accumulator).

namespace gshard::detail {

/// Rows that a host thread keeps accumulators of at once.
inline constexpr int fold_tile = 1024;

/// Host and device, where the innermost loop is reduced: a row for the lanes of a thread or of a team.
template <class Rule, class Term, class Store>
struct FoldAlong {
  Term term;
  Store store;
  LoopNest<1> kept;
  LoopNest<1> reduced;
  FoldCut cut;
  std::int64_t rows;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t item, Lanes const& lanes) const {
    std::int64_t const part = cut.parts == 1 ? 0 : item / rows;
    std::int64_t const row = item - part * rows;
    std::int64_t offset[1];
    kept.offsets_of(row, offset);
    typename Rule::accumulator total = Rule::identity();
    if (reduced.rank == 1) {
      Range const range = cut.range(reduced, part);
      total = segment(offset[0] + range.begin, row, range.begin, range.size(), lanes);
    } else {
      FoldPiece piece = cut.piece(reduced, part);
      std::int64_t const steps = piece.loops.count();
      if (steps > 0) {
        std::int64_t const depth = piece.loops.extents[--piece.loops.rank];
        LoopCursor<1> cursor(piece.loops, 0);
        for (std::int64_t step = 0; step < steps; step += depth, cursor.advance(piece.loops))
          Rule::combine(total, segment(offset[0] + piece.position + cursor.offsets[0], row, 0, depth, lanes));
      }
    }
    Store const& to = store;
    lanes.once([&to, item, total] { to(item, total); });
  }

 private:
  template <class Lanes>
  KOKKOS_FUNCTION typename Rule::accumulator segment(std::int64_t position, std::int64_t row, std::int64_t first,
                                                     std::int64_t depth, Lanes const& lanes) const {
    Term const of = term;
    return lanes.template fold<Rule>(depth, [=](std::int64_t j) { return of(position + j, row, first + j); });
  }
};

/// Host, where the innermost loop is kept: a tile of rows next to each other, wide enough to walk over memory page by
/// page, some reduced steps at once.
template <class Rule, class Term, class Store>
struct FoldAcross {
  static constexpr int tile = fold_tile;
  static constexpr int at_once = 4;

  Term term;
  Store store;
  LoopNest<1> outer;
  std::int64_t width;
  LoopNest<1> reduced;
  FoldCut cut;

  std::int64_t tiles() const { return (width + tile - 1) / tile; }
  std::int64_t items() const { return outer.count() * tiles() * cut.parts; }

  void operator()(std::int64_t item) const {
    std::int64_t const begin = item % tiles() * tile;
    std::int64_t const rows = outer.count();
    std::int64_t const outer_row = item / tiles() % rows;
    std::int64_t const part = item / tiles() / rows;
    std::int64_t offset[1];
    outer.offsets_of(outer_row, offset);
    std::int64_t const row = outer_row * width + begin;
    int const count = static_cast<int>(std::min<std::int64_t>(tile, width - begin));
    typename Rule::accumulator totals[tile];
    for (int i = 0; i < count; ++i) totals[i] = Rule::identity();
    FoldPiece const piece = cut.piece(reduced, part);
    std::int64_t const steps = piece.loops.count();
    if (steps > 0) {
      std::int64_t const position = offset[0] + begin + piece.position;
      LoopCursor<1> cursor(piece.loops, 0);
      std::int64_t step = 0;
      for (; step + at_once <= steps; step += at_once)
        add<at_once>(totals, count, position, row, piece.first + step, cursor, piece.loops);
      for (; step < steps; ++step) add<1>(totals, count, position, row, piece.first + step, cursor, piece.loops);
    }
    std::int64_t const place = part * rows * width + row;
    for (int i = 0; i < count; ++i) store(place + i, totals[i]);
  }

 private:
  template <int Steps>
  void add(typename Rule::accumulator (&totals)[tile], int count, std::int64_t begin, std::int64_t row,
           std::int64_t index, LoopCursor<1>& cursor, LoopNest<1> const& loops) const {
    std::int64_t positions[Steps];
    for (std::int64_t& position : positions) {
      position = begin + cursor.offsets[0];
      cursor.advance(loops);
    }
    Term const of = term;
    for (int i = 0; i < count; ++i) {
      typename Rule::accumulator total = totals[i];
      for (int k = 0; k < Steps; ++k) Rule::combine(total, of(positions[k] + i, row + i, index + k));
      totals[i] = total;
    }
  }
};

/// Device, where the innermost loop is kept, or short: a row for each thread, neighbours by neighbouring threads.
template <class Rule, class Term, class Store>
struct FoldElements {
  Term term;
  Store store;
  LoopNest<1> kept;
  LoopNest<1> reduced;
  FoldCut cut;
  std::int64_t rows;

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const row = item % rows;
    FoldPiece const piece = cut.piece(reduced, item / rows);
    std::int64_t offset[1];
    kept.offsets_of(row, offset);
    typename Rule::accumulator total = Rule::identity();
    std::int64_t const steps = piece.loops.count();
    if (steps > 0) {
      LoopCursor<1> cursor(piece.loops, 0);
      for (std::int64_t step = 0; step < steps; ++step, cursor.advance(piece.loops))
        Rule::combine(total, term(offset[0] + piece.position + cursor.offsets[0], row, piece.first + step));
    }
    store(item, total);
  }
};

/// Reduces each of `parts` pieces of the reduced loops by itself, where the innermost loop is kept: the result of part
/// p of row r goes to p * rows + r.
template <class MemorySpace, class Rule, class Term, class Store>
void fold_across(char const* label, FoldLoops const& loops, std::int64_t parts, Term const& term, Store const& store) {
  std::int64_t const rows = loops.kept.count();
  FoldCut const cut(loops.reduced, parts);
  if constexpr (runs_on_host<MemorySpace>) {
    FoldAcross<Rule, Term, Store> kernel{term, store, loops.kept, 0, loops.reduced, cut};
    kernel.width = kernel.outer.extents[--kernel.outer.rank];
    launch<MemorySpace>(label, kernel.items(), rows * loops.reduced.count() <= small_row, kernel);
  } else {
    launch<MemorySpace>(label, rows * parts,
                        FoldElements<Rule, Term, Store>{term, store, loops.kept, loops.reduced, cut, rows});
  }
}

/// The same whatever the innermost loop is.
template <class MemorySpace, class Rule, class Term, class Store>
void fold_parts(char const* label, FoldLoops const& loops, std::int64_t parts, Term const& term, Store const& store) {
  std::int64_t const rows = loops.kept.count();
  std::int64_t const steps = loops.reduced.count();
  if (loops.along && (runs_on_host<MemorySpace> || steps >= 32))
    for_each_row<MemorySpace>(
        label, rows * parts, rows * steps <= small_row,
        FoldAlong<Rule, Term, Store>{term, store, loops.kept, loops.reduced, FoldCut(loops.reduced, parts), rows});
  else fold_across<MemorySpace, Rule>(label, loops, parts, term, store);
}

/// How many parts keep all threads busy where there are few rows. It depends on the extents alone, not on the number of
/// threads, so the rounding does not either.
template <class MemorySpace>
std::int64_t parts_of_fold(FoldLoops const& loops) {
  std::int64_t const rows = loops.kept.count();
  std::int64_t const steps = loops.reduced.count();
  std::int64_t longest = 1;
  for (int i = 0; i < loops.reduced.rank; ++i) longest = std::max(longest, loops.reduced.extents[i]);
  if constexpr (runs_on_host<MemorySpace>) {
    std::int64_t const items = loops.along ? rows : (rows + fold_tile - 1) / fold_tile;
    return std::clamp<std::int64_t>(std::min(64 / items, rows * steps >> 14), 1, longest);
  } else {
    std::int64_t const threads = loops.along ? rows * 128 : rows;
    return std::clamp<std::int64_t>(std::min((std::int64_t{1} << 16) / threads, steps >> 8), 1, longest);
  }
}

template <class T>
struct StoreInRow {
  T* data;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t row, T const& value) const { data[row] = value; }
};

template <class T>
struct LoadFromRow {
  T const* data;
  KOKKOS_FORCEINLINE_FUNCTION T operator()(std::int64_t position, std::int64_t, std::int64_t) const {
    return data[position];
  }
};

/// Reduces a block, none of whose loops is empty, in one pass over it.
template <class MemorySpace, class Rule, class Term, class Store>
void fold(char const* label, MemoryPool& memory, FoldLoops const& loops, Term const& term, Store const& store) {
  std::int64_t const parts = parts_of_fold<MemorySpace>(loops);
  if (parts == 1) return fold_parts<MemorySpace, Rule>(label, loops, 1, term, store);
  using Accumulator = typename Rule::accumulator;
  std::int64_t const rows = loops.kept.count();
  Scratch<MemorySpace> scratch(memory);
  Accumulator* const totals = scratch.template get<Accumulator>(parts * rows);
  fold_parts<MemorySpace, Rule>(label, loops, parts, term, StoreInRow<Accumulator>{totals});
  fold_across<MemorySpace, Rule>(label, over_parts(parts, rows), 1, LoadFromRow<Accumulator>{totals}, store);
}

}  // namespace gshard::detail
