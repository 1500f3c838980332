// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/launch.hpp>

// Gather and scatter of slices by index on one rank's packed blocks: (outer, extent, inner) is the indexed one, (outer,
// count, inner) the other. Indices are global and have been checked. This rank holds [begin, begin + extent); an index
// outside belongs to another rank.

namespace gshard::detail {

/// Number of elements of a slice that one work item moves: a contiguous run on the host; one on a device, so that
/// neighbouring work items access neighbouring addresses.
template <class MemorySpace>
inline constexpr std::int64_t slice_piece = runs_on_host<MemorySpace> ? 256 : 1;

/// result[o, j, :] = x[o, indices[j] - begin, :], or 0 if this rank does not hold the index.
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

/// result[o, indices[j] - begin, :] += updates[o, j, :] for every index that this rank holds, in ascending order of j.
/// A work item loops over all j: atomics over j would make the rounding differ from run to run.
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
