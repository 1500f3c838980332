// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#if defined(__CUDA_ARCH__) || defined(__HIP_DEVICE_COMPILE__)
#include <Kokkos_Abort.hpp>
#endif

#include <gshard/core/error.hpp>
#include <gshard/core/macros.hpp>

namespace gshard {

namespace detail {

// What a StaticVector does where its bounds are overstepped. Not constexpr: a constant expression is ill-formed then.

[[noreturn, gnu::cold, gnu::noinline]] GSHARD_FUNCTION inline void index_is_outside([[maybe_unused]] int index,
                                                                                    [[maybe_unused]] int size) {
#if defined(__CUDA_ARCH__) || defined(__HIP_DEVICE_COMPILE__)
  Kokkos::abort("gshard: an index is outside a list of dimensions, letters or axes");
#else
  throw IndexError(
      concat("index ", index, " is outside a list of ", size, " (dimensions, letters or axes); indices count from 0"));
#endif
}

[[noreturn, gnu::cold, gnu::noinline]] GSHARD_FUNCTION inline void list_is_full([[maybe_unused]] int capacity) {
#if defined(__CUDA_ARCH__) || defined(__HIP_DEVICE_COMPILE__)
  Kokkos::abort("gshard: a list of dimensions, letters or axes is full");
#else
  throw ExtentError(
      concat("a list of dimensions, letters or axes has at most ", capacity, " entries here; give fewer"));
#endif
}

}  // namespace detail

/// The largest number of dimensions of a tensor: Kokkos::View stops there.
inline constexpr int max_rank = 8;

/// A vector of at most `Capacity` elements that lives in place: usable in constant expressions, in kernels, and as a
/// template argument. Indices and the capacity are checked everywhere: what oversteps them does not compile in a
/// constant expression, throws IndexError or ExtentError on a host, and aborts a kernel on a device. Elements can be
/// kept in a smaller type, `Stored`, that holds all their values.
template <class T, int Capacity, class Stored = T>
struct StaticVector {
  Stored items[Capacity]{};
  int count = 0;

  constexpr StaticVector() = default;
  constexpr StaticVector(std::initializer_list<T> list) {
    for (T const& item : list) push_back(item);
  }

  GSHARD_FUNCTION constexpr int size() const { return count; }
  GSHARD_FUNCTION constexpr bool empty() const { return count == 0; }
  GSHARD_FUNCTION constexpr Stored& operator[](int i) { return items[checked(i)]; }
  GSHARD_FUNCTION constexpr Stored const& operator[](int i) const { return items[checked(i)]; }
  GSHARD_FUNCTION constexpr Stored* begin() { return items; }
  GSHARD_FUNCTION constexpr Stored* end() { return items + count; }
  GSHARD_FUNCTION constexpr Stored const* begin() const { return items; }
  GSHARD_FUNCTION constexpr Stored const* end() const { return items + count; }
  GSHARD_FUNCTION constexpr Stored& back() { return items[checked(count - 1)]; }
  GSHARD_FUNCTION constexpr Stored const& back() const { return items[checked(count - 1)]; }

  GSHARD_FUNCTION constexpr void push_back(T const& item) {
    if (count == Capacity) detail::list_is_full(Capacity);
    items[count++] = static_cast<Stored>(item);
  }
  GSHARD_FUNCTION constexpr void pop_back() {
    items[checked(count - 1)] = Stored{};
    --count;
  }

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

 private:
  GSHARD_FUNCTION constexpr int checked(int i) const {
    if (i < 0 || i >= count) detail::index_is_outside(i, count);
    return i;
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

namespace detail {

/// Extents as "(4, 8, 16)".
inline std::string text_of(Extents const& extents) {
  std::string result = "(";
  for (int i = 0; i < extents.size(); ++i) result += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return result + ")";
}

}  // namespace detail
}  // namespace gshard
