// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/launch.hpp>

// Gathers and scatters of slices by index, on one rank's blocks: (outer, n, inner) and (outer, k, inner), packed.
// Indices are global and have been checked; those outside the range [begin, begin + n) belong to other ranks, and are
// left out here.

namespace gshard::detail {

/// How many elements of a slice one work item moves: a run of them on the host; on a device one, so that neighbours are
/// moved by neighbours.
template <class MemorySpace>
inline constexpr std::int64_t slice_piece = runs_on_host<MemorySpace> ? 256 : 1;

/// Slice k of the result is slice indices[k] of x, zero where this rank does not hold it.
template <class T, class Index, std::int64_t Piece>
struct TakeSlices {
  T const* x;
  Index const* indices;
  T* result;
  std::int64_t begin, extent, count, inner, pieces;

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const piece = item % pieces;
    std::int64_t const slice = item / pieces;
    std::int64_t const index = indices[slice % count] - begin;
    std::int64_t const first = piece * Piece;
    std::int64_t const end = first + Piece < inner ? first + Piece : inner;
    T* const to = result + slice * inner;
    if (index < 0 || index >= extent) {
      for (std::int64_t i = first; i < end; ++i) to[i] = T(0);
    } else {
      T const* const from = x + (slice / count * extent + index) * inner;
      for (std::int64_t i = first; i < end; ++i) to[i] = from[i];
    }
  }
};

/// Adds slice k of the updates to slice indices[k] of the result, in the order of k: one work item for each part of all
/// slices, so that the sums are the same in each run.
template <class T, class Index, std::int64_t Piece>
struct ScatterSlices {
  T const* updates;
  Index const* indices;
  Computed<T>* result;
  std::int64_t begin, extent, count, inner, pieces;

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const piece = item % pieces;
    std::int64_t const outer = item / pieces;
    std::int64_t const first = piece * Piece;
    std::int64_t const end = first + Piece < inner ? first + Piece : inner;
    for (std::int64_t k = 0; k < count; ++k) {
      std::int64_t const index = indices[k] - begin;
      if (index < 0 || index >= extent) continue;
      T const* const from = updates + (outer * count + k) * inner;
      Computed<T>* const to = result + (outer * extent + index) * inner;
      for (std::int64_t i = first; i < end; ++i) to[i] += from[i];
    }
  }
};

}  // namespace gshard::detail
