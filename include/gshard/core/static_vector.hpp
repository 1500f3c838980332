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

// Failures of StaticVector. Not constexpr, so that a constant expression that calls them does not compile.

/// Throws IndexError on a host, aborts on a device.
[[noreturn, gnu::cold, gnu::noinline]] GSHARD_FUNCTION inline void index_is_outside([[maybe_unused]] int index,
                                                                                    [[maybe_unused]] int size) {
#if defined(__CUDA_ARCH__) || defined(__HIP_DEVICE_COMPILE__)
  Kokkos::abort("gshard: an index is outside a list of dimensions, letters or axes");
#else
  throw IndexError(
      concat("index ", index, " is outside a list of ", size, " (dimensions, letters or axes); indices count from 0"));
#endif
}

/// Throws ExtentError on a host, aborts on a device.
[[noreturn, gnu::cold, gnu::noinline]] GSHARD_FUNCTION inline void list_is_full([[maybe_unused]] int capacity) {
#if defined(__CUDA_ARCH__) || defined(__HIP_DEVICE_COMPILE__)
  Kokkos::abort("gshard: a list of dimensions, letters or axes is full");
#else
  throw ExtentError(
      concat("a list of dimensions, letters or axes has at most ", capacity, " entries here; give fewer"));
#endif
}

}  // namespace detail

/// Maximum number of dimensions of a tensor, the limit of Kokkos::View.
inline constexpr int max_rank = 8;

/// Vector of at most `Capacity` elements in place; usable in constant expressions, in kernels, and as a template
/// argument. Stores elements as `Stored`, which may be a smaller type.
/// Precondition: `Stored` represents all values of the elements.
/// Throws IndexError if an index is outside [0, size()), ExtentError if an element exceeds the capacity. In a constant
/// expression such a call does not compile; on a device it aborts the kernel.
template <class T, int Capacity, class Stored = T>
struct StaticVector {
  Stored items[Capacity]{};
  int count = 0;

  constexpr StaticVector() = default;
  /// Constructs a vector of the elements of `list`.
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

  /// Appends an element. Throws ExtentError if the vector is full.
  GSHARD_FUNCTION constexpr void push_back(T const& item) {
    if (count == Capacity) detail::list_is_full(Capacity);
    items[count++] = static_cast<Stored>(item);
  }
  /// Removes the last element. Throws IndexError if the vector is empty.
  GSHARD_FUNCTION constexpr void pop_back() {
    // Reset, since equality of template arguments compares all of `items`.
    items[checked(count - 1)] = Stored{};
    --count;
  }

  /// Returns the position of the first element equal to `item`, or -1.
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

/// Letters of an einsum operand, one per dimension.
using Labels = StaticVector<char, max_rank>;

/// Extents of a tensor or of a block, in elements, one per dimension.
using Extents = StaticVector<std::int64_t, max_rank>;

/// Returns the product of the extents: the number of elements of a block, 1 for a scalar.
/// Precondition: the product fits in 64 bits; see `fits`.
GSHARD_FUNCTION constexpr std::int64_t product(Extents const& extents) {
  std::int64_t result = 1;
  for (std::int64_t extent : extents) result *= extent;
  return result;
}

/// Returns whether the product of the extents is at most `limit`, with extents of 0 taken as 1.
/// Then neither `product` nor a stride of `packed_strides` exceeds `limit`. Extents of 0 must not hide large ones: a
/// stride is a product of inner extents only, without an outer extent of 0.
/// Precondition: extents >= 0, limit >= 1.
constexpr bool fits(Extents const& extents, std::int64_t limit) {
  for (std::int64_t extent : extents) {
    if (extent > limit) return false;
    if (extent > 1) limit /= extent;
  }
  return true;
}

/// Returns the row-major (LayoutRight) strides of a packed block, in elements: strides[i] = prod_(j > i) extents[j].
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

/// Returns the extents as "(4, 8, 16)".
inline std::string text_of(Extents const& extents) {
  std::string result = "(";
  for (int i = 0; i < extents.size(); ++i) result += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return result + ")";
}

}  // namespace detail
}  // namespace gshard
