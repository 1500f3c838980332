// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/extremes.hpp>
#include <gshard/core/launch.hpp>

// Sorting along one dimension of a block (outer, n, inner). One work item sorts a row, n elements with stride `inner`.

namespace gshard::detail {

/// Returns whether `left` goes strictly before `right`. NaN is above infinity and equal to NaN.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION bool goes_first(T left, T right, bool descending) {
  return descending ? is_larger(left, right) : is_larger(right, left);
}

/// Writes the indices that sort each row to `order`: a stable bottom-up merge sort of indices. `order` and the scratch
/// memory `spare` have the shape of x.
template <class T>
struct SortRows {
  T const* x;
  int* order;
  int* spare;
  std::int64_t extent, inner;
  bool descending;

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
          bool const take_right =
              left == middle || (right < end && goes_first(values[from[right * inner] * inner],
                                                           values[from[left * inner] * inner], descending));
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

/// Writes the indices of the `count` largest elements of each row, in the order of the merge sort: one pass that
/// inserts each element into the sorted list of the largest so far.
template <class T>
struct LargestOfRows {
  T const* x;
  int* places;
  std::int64_t extent, count, inner;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    T const* const values = x + row / inner * extent * inner + row % inner;
    int* const kept = places + row / inner * count * inner + row % inner;
    for (std::int64_t i = 0; i < extent; ++i) {
      T const value = values[i * inner];
      std::int64_t k = i < count ? i : count;
      for (; k > 0 && goes_first(value, values[kept[(k - 1) * inner] * inner], true); --k)
        if (k < count) kept[k * inner] = kept[(k - 1) * inner];
      if (k < count) kept[k * inner] = static_cast<int>(i);
    }
  }
};

/// result[o, k, i] = x[o, indices[o, k, i], i].
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

/// x[o, indices[o, k, i], i] = gradient[o, k, i], the transpose of TakeAlongRows. Precondition: the indices of a row
/// differ.
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
