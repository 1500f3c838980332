// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/macros.hpp>
#include <gshard/core/static_vector.hpp>

namespace gshard::detail {

/// Nested loops, outermost first, that step `Operands` offsets together: the shape of every strided kernel. A stride of
/// 0 means that the operand does not depend on the loop.
template <int Operands>
struct LoopNest {
  int rank = 0;
  std::int64_t extents[max_rank]{};
  std::int64_t strides[max_rank][Operands]{};

  /// Adds a loop inside all others; at most max_rank, as in a StaticVector.
  constexpr void push_inner(std::int64_t extent, std::int64_t const (&steps)[Operands]) {
    if (rank == max_rank) list_is_full(max_rank);
    extents[rank] = extent;
    for (int t = 0; t < Operands; ++t) strides[rank][t] = steps[t];
    ++rank;
  }

  /// Takes the loop at `position` out.
  constexpr void erase(int position) {
    for (int i = position; i + 1 < rank; ++i) {
      extents[i] = extents[i + 1];
      for (int t = 0; t < Operands; ++t) strides[i][t] = strides[i + 1][t];
    }
    --rank;
  }

  /// The number of iterations, 1 without any loop.
  GSHARD_FUNCTION constexpr std::int64_t count() const {
    std::int64_t result = 1;
    for (int i = 0; i < rank; ++i) result *= extents[i];
    return result;
  }

  /// The offsets of one iteration, counted row-major.
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

/// Walks a LoopNest from a given iteration on without a division per step.
template <int Operands>
struct LoopCursor {
  std::int64_t position[max_rank]{};
  std::int64_t offsets[Operands]{};

  GSHARD_FUNCTION constexpr LoopCursor(LoopNest<Operands> const& nest, std::int64_t iteration) {
    for (int i = nest.rank - 1; i >= 0; --i) {
      std::int64_t const quotient = i == 0 ? 0 : iteration / nest.extents[i];
      position[i] = iteration - quotient * nest.extents[i];
      for (int t = 0; t < Operands; ++t) offsets[t] += position[i] * nest.strides[i][t];
      iteration = quotient;
    }
  }

  /// The iterations that are left in the innermost loop, this one included.
  GSHARD_FUNCTION constexpr std::int64_t run(LoopNest<Operands> const& nest) const {
    return nest.rank == 0 ? 1 : nest.extents[nest.rank - 1] - position[nest.rank - 1];
  }

  /// Goes on by `steps` iterations, at most run().
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

/// The same iterations in as few loops as possible: loops of extent 1 are dropped, the others sorted so that operand 0
/// is walked in address order, and neighbours that every operand walks as one are merged. No extent may be 0.
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
