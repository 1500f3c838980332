// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/launch.hpp>
#include <gshard/core/rows.hpp>
#include <gshard/reduce/kernels/loops.hpp>
#include <gshard/tensor/run_items.hpp>

namespace gshard::detail {

/// Host: some runs of elements next to each other, or a piece of a long one.
template <class Body>
struct BroadcastRuns {
  Body body;
  LoopNest<2> outer;
  RunItems items;
  bool kept;  ///< whether the row steps with the position inside a run

  static BroadcastRuns make(Body const& body, LoopNest<2> loops) {
    int const inner = loops.rank - 1;
    std::int64_t const width = loops.extents[inner];
    bool const kept = loops.strides[inner][1] != 0;
    loops.erase(inner);
    return {body, loops, RunItems::of(width, loops.count()), kept};
  }

  void operator()(std::int64_t item) const {
    Range const range = items.elements_of(item);
    Range const runs = items.runs_of(item);
    Body const each = body;
    LoopCursor<2> cursor(outer, runs.begin);
    for (std::int64_t run = runs.begin; run < runs.end; ++run, cursor.advance(outer)) {
      std::int64_t const position = cursor.offsets[0] + range.begin;
      std::int64_t const row = cursor.offsets[1];
      if (kept) ThreadLanes::each(range.size(), [=](std::int64_t j) { each(position + j, row + range.begin + j); });
      else ThreadLanes::each(range.size(), [=](std::int64_t j) { each(position + j, row); });
    }
  }
};

/// Device: an element for each thread.
template <class Body>
struct BroadcastElements {
  Body body;
  LoopNest<2> loops;

  KOKKOS_FUNCTION void operator()(std::int64_t iteration) const {
    std::int64_t offsets[2];
    loops.offsets_of(iteration, offsets);
    body(offsets[0], offsets[1]);
  }
};

/// Calls body(position, row) for each element of a packed block, with its position in the block and that of its row in
/// the result of a reduction.
template <class MemorySpace, class Body>
void broadcast(char const* label, Extents const& extents, ReducedDimensions const& reduced, Body const& body) {
  if (product(extents) == 0) return;
  LoopNest<2> const loops = row_loops(extents, packed_strides(extents), reduced);
  if constexpr (runs_on_host<MemorySpace>) {
    auto const kernel = BroadcastRuns<Body>::make(body, loops);
    launch<MemorySpace>(label, kernel.items.count(), product(extents) <= small_row, kernel);
  } else {
    launch<MemorySpace>(label, loops.count(), BroadcastElements<Body>{body, loops});
  }
}

}  // namespace gshard::detail
