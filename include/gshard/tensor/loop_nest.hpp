// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/macros.hpp>
#include <gshard/core/static_vector.hpp>

namespace gshard::detail {

/// Nested loops, outermost first, that advance `Operands` offsets together: the iteration space of strided kernels.
/// strides[i][t]: step of operand t in loop i, in elements; 0 if the operand does not depend on the loop.
template <int Operands>
struct LoopNest {
  int rank = 0;
  std::int64_t extents[max_rank]{};
  std::int64_t strides[max_rank][Operands]{};

  /// Adds a loop inside all others. Throws ExtentError if there are `max_rank` loops already.
  constexpr void push_inner(std::int64_t extent, std::int64_t const (&steps)[Operands]) {
    if (rank == max_rank) list_is_full(max_rank);
    extents[rank] = extent;
    for (int t = 0; t < Operands; ++t) strides[rank][t] = steps[t];
    ++rank;
  }

  /// Removes the loop at `position`.
  constexpr void erase(int position) {
    for (int i = position; i + 1 < rank; ++i) {
      extents[i] = extents[i + 1];
      for (int t = 0; t < Operands; ++t) strides[i][t] = strides[i + 1][t];
    }
    --rank;
  }

  /// Returns the number of iterations; 1 without loops.
  GSHARD_FUNCTION constexpr std::int64_t count() const {
    std::int64_t result = 1;
    for (int i = 0; i < rank; ++i) result *= extents[i];
    return result;
  }

  /// Computes the offsets of an iteration, counted in row-major order.
  GSHARD_FUNCTION constexpr void offsets_of(std::int64_t iteration, std::int64_t (&offsets)[Operands]) const {
    for (int t = 0; t < Operands; ++t) offsets[t] = 0;
    for (int i = rank - 1; i >= 0; --i) {
      std::int64_t const quotient = i == 0 ? 0 : iteration / extents[i];
      std::int64_t const index = iteration - quotient * extents[i];
      for (int t = 0; t < Operands; ++t) offsets[t] += index * strides[i][t];
      iteration = quotient;
    }
  }
};

/// Position in a LoopNest that advances without a division per step.
template <int Operands>
struct LoopCursor {
  std::int64_t position[max_rank]{};
  std::int64_t offsets[Operands]{};

  /// Starts at `iteration`, counted in row-major order.
  GSHARD_FUNCTION constexpr LoopCursor(LoopNest<Operands> const& nest, std::int64_t iteration) {
    for (int i = nest.rank - 1; i >= 0; --i) {
      std::int64_t const quotient = i == 0 ? 0 : iteration / nest.extents[i];
      position[i] = iteration - quotient * nest.extents[i];
      for (int t = 0; t < Operands; ++t) offsets[t] += position[i] * nest.strides[i][t];
      iteration = quotient;
    }
  }

  /// Returns the number of iterations left in the innermost loop, the current one included.
  GSHARD_FUNCTION constexpr std::int64_t run(LoopNest<Operands> const& nest) const {
    return nest.rank == 0 ? 1 : nest.extents[nest.rank - 1] - position[nest.rank - 1];
  }

  /// Advances by `steps` iterations.
  /// Precondition: steps <= run(nest).
  GSHARD_FUNCTION constexpr void advance(LoopNest<Operands> const& nest, std::int64_t steps = 1) {
    for (int i = nest.rank - 1; i >= 0; --i) {
      for (int t = 0; t < Operands; ++t) offsets[t] += steps * nest.strides[i][t];
      position[i] += steps;
      if (position[i] < nest.extents[i]) return;
      for (int t = 0; t < Operands; ++t) offsets[t] -= nest.extents[i] * nest.strides[i][t];
      position[i] = 0;
      steps = 1;
    }
  }
};

/// Returns the same iterations in as few loops as possible.
/// Drops loops of extent 1, sorts the others by descending stride of operand 0, and merges neighbours that every
/// operand walks with one stride.
/// Precondition: no extent is 0.
template <int Operands>
constexpr LoopNest<Operands> coalesce(LoopNest<Operands> const& nest) {
  LoopNest<Operands> sorted;
  for (int i = 0; i < nest.rank; ++i) {
    if (nest.extents[i] == 1) continue;
    sorted.push_inner(nest.extents[i], nest.strides[i]);
    for (int j = sorted.rank - 1; j > 0 && sorted.strides[j - 1][0] < sorted.strides[j][0]; --j) {
      std::int64_t const extent = sorted.extents[j];
      sorted.extents[j] = sorted.extents[j - 1];
      sorted.extents[j - 1] = extent;
      for (int t = 0; t < Operands; ++t) {
        std::int64_t const stride = sorted.strides[j][t];
        sorted.strides[j][t] = sorted.strides[j - 1][t];
        sorted.strides[j - 1][t] = stride;
      }
    }
  }
  LoopNest<Operands> merged;
  for (int i = 0; i < sorted.rank; ++i) {
    bool as_one = merged.rank > 0;
    for (int t = 0; as_one && t < Operands; ++t)
      as_one = merged.strides[merged.rank - 1][t] == sorted.strides[i][t] * sorted.extents[i];
    if (as_one) {
      merged.extents[merged.rank - 1] *= sorted.extents[i];
      for (int t = 0; t < Operands; ++t) merged.strides[merged.rank - 1][t] = sorted.strides[i][t];
    } else {
      merged.push_inner(sorted.extents[i], sorted.strides[i]);
    }
  }
  return merged;
}

}  // namespace gshard::detail
