// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <gshard/core/macros.hpp>

namespace gshard {

/// The largest number of dimensions of a tensor: Kokkos::View stops there.
inline constexpr int max_rank = 8;

/// A vector of at most `Capacity` elements that lives in place: usable in constant expressions, in kernels, and as a
/// template argument.
template <class T, int Capacity>
struct StaticVector {
  T items[Capacity]{};
  int count = 0;

  constexpr StaticVector() = default;
  constexpr StaticVector(std::initializer_list<T> list) {
    for (T const& item : list) push_back(item);
  }

  GSHARD_FUNCTION constexpr int size() const { return count; }
  GSHARD_FUNCTION constexpr bool empty() const { return count == 0; }
  GSHARD_FUNCTION constexpr T& operator[](int i) { return items[i]; }
  GSHARD_FUNCTION constexpr T const& operator[](int i) const { return items[i]; }
  GSHARD_FUNCTION constexpr T* begin() { return items; }
  GSHARD_FUNCTION constexpr T* end() { return items + count; }
  GSHARD_FUNCTION constexpr T const* begin() const { return items; }
  GSHARD_FUNCTION constexpr T const* end() const { return items + count; }
  GSHARD_FUNCTION constexpr T& back() { return items[count - 1]; }
  GSHARD_FUNCTION constexpr T const& back() const { return items[count - 1]; }

  /// Appends. A vector that is full makes a constant expression ill-formed; at run time the capacity is a precondition.
  GSHARD_FUNCTION constexpr void push_back(T const& item) { items[count++] = item; }
  GSHARD_FUNCTION constexpr void pop_back() { items[--count] = T{}; }

  /// The position of `item`, or -1.
  GSHARD_FUNCTION constexpr int find(T const& item) const {
    for (int i = 0; i < count; ++i)
      if (items[i] == item) return i;
    return -1;
  }
  GSHARD_FUNCTION constexpr bool contains(T const& item) const { return find(item) >= 0; }

  GSHARD_FUNCTION friend constexpr bool operator==(StaticVector const& left, StaticVector const& right) {
    if (left.count != right.count) return false;
    for (int i = 0; i < left.count; ++i)
      if (!(left.items[i] == right.items[i])) return false;
    return true;
  }
};

/// The letters of an operand, one per dimension.
using Labels = StaticVector<char, max_rank>;

/// The sizes of a tensor or of a block, one per dimension.
using Extents = StaticVector<std::int64_t, max_rank>;

/// The number of elements of a block: the product of its extents, 1 for a scalar.
GSHARD_FUNCTION constexpr std::int64_t product(Extents const& extents) {
  std::int64_t result = 1;
  for (std::int64_t extent : extents) result *= extent;
  return result;
}

/// Whether `product` and `packed_strides` of the extents, and of each part of them, stay within `limit`. Extents of 0
/// count as 1, since strides pass over them.
constexpr bool fits(Extents const& extents, std::int64_t limit) {
  for (std::int64_t extent : extents) {
    if (extent > limit) return false;
    if (extent > 1) limit /= extent;
  }
  return true;
}

/// Row-major (LayoutRight) strides of a packed block, in elements.
GSHARD_FUNCTION constexpr Extents packed_strides(Extents const& extents) {
  Extents strides = extents;
  std::int64_t stride = 1;
  for (int i = extents.size() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= extents[i];
  }
  return strides;
}

}  // namespace gshard
