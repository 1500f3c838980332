// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/launch.hpp>

// Sorting along one dimension of a block (outer, n, inner): one work item for each row of n elements, `inner` apart.

namespace gshard::detail {

/// The positions of each row's elements in order, equal ones as they stand and NaN behind all others: a merge sort of positions, from the bottom up.
/// `order` and `spare` have the shape of x.
template <class T>
struct SortRows {
  T const* x;
  int* order;
  int* spare;
  std::int64_t extent, inner;
  bool descending;

  KOKKOS_FUNCTION bool goes_first(T left, T right) const {
    bool const left_is_number = left == left;
    if (left_is_number != (right == right)) return left_is_number;
    return descending ? left > right : left < right;
  }

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    std::int64_t const start = row / inner * extent * inner + row % inner;
    T const* const values = x + start;
    int* from = order + start;
    int* to = spare + start;
    for (std::int64_t i = 0; i < extent; ++i) from[i * inner] = static_cast<int>(i);
    for (std::int64_t width = 1; width < extent; width *= 2) {
      for (std::int64_t begin = 0; begin < extent; begin += 2 * width) {
        std::int64_t const middle = begin + width < extent ? begin + width : extent;
        std::int64_t const end = begin + 2 * width < extent ? begin + 2 * width : extent;
        std::int64_t left = begin;
        std::int64_t right = middle;
        for (std::int64_t i = begin; i < end; ++i) {
          bool const take_right = left == middle || (right < end && goes_first(values[from[right * inner] * inner], values[from[left * inner] * inner]));
          to[i * inner] = take_right ? from[right++ * inner] : from[left++ * inner];
        }
      }
      int* const swapped = from;
      from = to;
      to = swapped;
    }
    if (from != order + start)
      for (std::int64_t i = 0; i < extent; ++i) order[start + i * inner] = from[i * inner];
  }
};

/// Element k of each row of the result is element indices[k] of the same row of x.
template <class T>
struct TakeAlongRows {
  T const* x;
  int const* indices;
  T* result;
  std::int64_t extent, count, inner;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    std::int64_t const outer = position / (count * inner);
    result[position] = x[(outer * extent + indices[position]) * inner + position % inner];
  }
};

/// The transpose: x[indices[k]] = gradient[k] in each row, where no index stands twice.
template <class T>
struct PutAlongRows {
  T const* gradient;
  int const* indices;
  T* x;
  std::int64_t extent, count, inner;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    std::int64_t const outer = position / (count * inner);
    x[(outer * extent + indices[position]) * inner + position % inner] = gradient[position];
  }
};

}  // namespace gshard::detail
