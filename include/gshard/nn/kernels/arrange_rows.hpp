// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// Rows in two orders that consist of the same segments: as they arrive from the ranks, and sorted by expert. Segments
/// are listed in the sorted order.
struct RowSegments {
  std::int64_t const* sorted = nullptr;   ///< first row of each segment
  std::int64_t const* arrived = nullptr;  ///< the same row as it arrives
  std::int64_t count = 0;

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t arrived_of(std::int64_t row) const {
    std::int64_t low = 0;
    std::int64_t high = count;
    while (high - low > 1) {
      std::int64_t const middle = (low + high) / 2;
      if (sorted[middle] <= row) low = middle;
      else high = middle;
    }
    return arrived[low] + row - sorted[low];
  }
};

/// Brings rows from the order in which they arrive into the sorted one, or back.
template <class T>
struct ArrangeRows {
  RowSegments segments;
  T const* from;
  T* to;
  std::int64_t columns;
  bool back;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const other = segments.arrived_of(row);
    T const* const in = from + (back ? row : other) * columns;
    T* const out = to + (back ? other : row) * columns;
    lanes.each(columns, [=](std::int64_t j) { out[j] = in[j]; });
  }
};

}  // namespace gshard::nn::detail
