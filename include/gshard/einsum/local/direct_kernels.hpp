// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/tensor/loop_nest.hpp>

namespace gshard::detail {

/// Contraction as plain loops: per output element, loops that sum. Strides are of c, a, b in `outputs` and
/// `width_strides`, and of a, b in `sums` and `depth_strides`. If `Binary` is false there is no b, and its strides are
/// 0.
template <class T, bool Binary>
struct DirectLoops {
  T* c;
  T const* a;
  T const* b;
  LoopNest<3> outputs;
  std::int64_t width;  ///< extent of the innermost output loop
  std::int64_t width_strides[3];
  LoopNest<2> sums;
  std::int64_t depth;  ///< extent of the innermost summing loop
  std::int64_t depth_strides[2];
  bool accumulate;
};

/// Device kernel: one output element per work item; neighbouring work items write neighbours along the inner output
/// loop.
template <class T, class MemorySpace, bool Binary>
struct DirectElements {
  DirectLoops<T, Binary> loops;

  KOKKOS_FUNCTION void operator()(std::int64_t index) const {
    std::int64_t offsets[3];
    loops.outputs.offsets_of(index / loops.width, offsets);
    std::int64_t const inner = index % loops.width;
    T* const c = loops.c + offsets[0] + inner * loops.width_strides[0];
    T const* const a = loops.a + offsets[1] + inner * loops.width_strides[1];
    T const* const b = Binary ? loops.b + offsets[2] + inner * loops.width_strides[2] : nullptr;
    std::int64_t const steps = loops.sums.count();
    LoopCursor<2> cursor(loops.sums, 0);
    T sum = loops.accumulate ? *c : T(0);
    for (std::int64_t step = 0; step < steps; ++step, cursor.advance(loops.sums)) {
      T const* from_a = a + cursor.offsets[0];
      T const* from_b = Binary ? b + cursor.offsets[1] : nullptr;
      for (std::int64_t i = 0; i < loops.depth; ++i) {
        if constexpr (Binary) sum += from_a[i * loops.depth_strides[0]] * from_b[i * loops.depth_strides[1]];
        else sum += from_a[i * loops.depth_strides[0]];
      }
    }
    *c = sum;
  }
};

/// Host kernel: one tile of outputs, along the inner output loop, per work item. The vectorised loop runs along the
/// tile, or along the sum if `dot`.
template <class T, bool Binary>
struct DirectTiles {
  static constexpr int tile = 256;
  static constexpr int lanes = 16;

  DirectLoops<T, Binary> loops;
  bool dot;

  /// Returns the number of tiles along the inner output loop.
  std::int64_t tiles() const { return (loops.width + tile - 1) / tile; }
  /// Returns the number of work items.
  std::int64_t items() const { return loops.outputs.count() * tiles(); }

  void operator()(std::int64_t item) const {
    std::int64_t offsets[3];
    loops.outputs.offsets_of(item / tiles(), offsets);
    std::int64_t const begin = item % tiles() * tile;
    int const count = static_cast<int>(std::min<std::int64_t>(tile, loops.width - begin));
    T* const c = loops.c + offsets[0] + begin * loops.width_strides[0];
    T const* const a = loops.a + offsets[1] + begin * loops.width_strides[1];
    T const* const b = Binary ? loops.b + offsets[2] + begin * loops.width_strides[2] : nullptr;

    T sums[tile] = {};
    std::int64_t const steps = loops.sums.count();
    LoopCursor<2> cursor(loops.sums, 0);
    for (std::int64_t step = 0; step < steps; ++step, cursor.advance(loops.sums)) {
      T const* const from_a = a + cursor.offsets[0];
      T const* const from_b = Binary ? b + cursor.offsets[1] : nullptr;
      if (dot) add_dots(sums, count, from_a, from_b);
      else add_rows(sums, count, from_a, from_b);
    }
    for (int i = 0; i < count; ++i) {
      T& to = c[i * loops.width_strides[0]];
      to = loops.accumulate ? to + sums[i] : sums[i];
    }
  }

 private:
  static T product(T const* a, T const* b, std::int64_t at_a, std::int64_t at_b) {
    if constexpr (Binary) return static_cast<T>(a[at_a] * b[at_b]);
    else return a[at_a];
  }

  /// Adds the sum over `depth` to each output. Keeps `lanes` independent partial sums, so that the compiler vectorises
  /// the loop without having to reorder floating-point additions.
  void add_dots(T (&sums)[tile], int count, T const* a, T const* b) const {
    for (int i = 0; i < count; ++i) {
      T const* const row_a = a + i * loops.width_strides[1];
      T const* const row_b = Binary ? b + i * loops.width_strides[2] : nullptr;
      T partial[lanes] = {};
      std::int64_t at = 0;
      for (; at + lanes <= loops.depth; at += lanes)
        for (int lane = 0; lane < lanes; ++lane) partial[lane] += product(row_a, row_b, at + lane, at + lane);
      T total = T(0);
      for (; at < loops.depth; ++at) total += product(row_a, row_b, at, at);
      for (int half = lanes / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; ++lane) partial[lane] += partial[lane + half];
      sums[i] += total;
      sums[i] += partial[0];
    }
  }

  /// Adds one row of products per step of `depth`. The common strides are compile-time constants, for the vectoriser.
  void add_rows(T (&sums)[tile], int count, T const* a, T const* b) const {
    std::int64_t const step_a = loops.width_strides[1];
    std::int64_t const step_b = loops.width_strides[2];
    if (step_a == 1 && (step_b == 1 || !Binary)) return add_rows_stepped<1, 1>(sums, count, a, b);
    if (Binary && step_a == 1 && step_b == 0) return add_rows_stepped<1, 0>(sums, count, a, b);
    if (Binary && step_a == 0 && step_b == 1) return add_rows_stepped<0, 1>(sums, count, a, b);
    for (std::int64_t at = 0; at < loops.depth; ++at, a += loops.depth_strides[0], b += loops.depth_strides[1])
      for (int i = 0; i < count; ++i) sums[i] += product(a, b, i * step_a, i * step_b);
  }

  /// Adds rows for constant strides. A full tile has a constant trip count.
  template <int StepA, int StepB>
  void add_rows_stepped(T (&sums)[tile], int count, T const* a, T const* b) const {
    for (std::int64_t at = 0; at < loops.depth; ++at, a += loops.depth_strides[0], b += loops.depth_strides[1]) {
      if (count == tile)
        for (int i = 0; i < tile; ++i) sums[i] += product(a, b, i * StepA, i * StepB);
      else
        for (int i = 0; i < count; ++i) sums[i] += product(a, b, i * StepA, i * StepB);
    }
  }
};

}  // namespace gshard::detail
