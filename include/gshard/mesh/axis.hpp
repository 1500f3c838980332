// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include <gshard/core/fixed_string.hpp>
#include <gshard/core/static_vector.hpp>

namespace gshard {

/// Size of an axis that is given at run time.
inline constexpr int dynamic_size = 0;

namespace detail {

/// Returns whether `name` is not empty and has no blank, control character, ',' or '='; the last two separate names and
/// sizes in texts.
constexpr bool is_axis_name(std::string_view name) {
  for (char character : name) {
    auto const code = static_cast<unsigned char>(character);
    if (code <= ' ' || code == 127 || character == ',' || character == '=') return false;
  }
  return !name.empty();
}

}  // namespace detail

/// Named axis of a mesh. `Axis<"data">` gets its size at run time, `Axis<"expert", 8>` has it in its type.
template <FixedString Name, int Size = dynamic_size>
struct Axis {
  static_assert(
      detail::is_axis_name(Name.view()) && Name == FixedString(Name.view()),
      "gshard: the name of a mesh axis has one or more characters, and no blank, control character, ',' or '='");
  static_assert(Size >= 0, "gshard: the size of a mesh axis is positive, or left out to be given at run time");
  static constexpr std::string_view name = Name.view();
  static constexpr int size = Size;
};

/// Maximum number of axes of a mesh.
inline constexpr int max_axes = 8;

/// Set of axes of one mesh: bit i stands for the axis at position i of the mesh.
struct AxisSet {
  std::uint32_t bits = 0;

  constexpr AxisSet() = default;
  explicit constexpr AxisSet(std::uint32_t mask) : bits(mask) {}
  /// Returns the set of one axis.
  static constexpr AxisSet of(int axis) { return AxisSet{std::uint32_t{1} << axis}; }

  constexpr bool empty() const { return bits == 0; }
  /// Returns the number of axes.
  constexpr int size() const { return std::popcount(bits); }
  constexpr bool contains(int axis) const { return ((bits >> axis) & 1U) != 0; }
  /// Returns whether `other` is a subset of this set.
  constexpr bool contains(AxisSet other) const { return (other.bits & ~bits) == 0; }

  friend constexpr bool operator==(AxisSet, AxisSet) = default;
  /// Return the union, the intersection and the difference of two sets.
  friend constexpr AxisSet operator|(AxisSet left, AxisSet right) { return AxisSet{left.bits | right.bits}; }
  friend constexpr AxisSet operator&(AxisSet left, AxisSet right) { return AxisSet{left.bits & right.bits}; }
  friend constexpr AxisSet operator-(AxisSet left, AxisSet right) { return AxisSet{left.bits & ~right.bits}; }
  constexpr AxisSet& operator|=(AxisSet other) { return *this = *this | other; }
};

/// Returns the set of all axes of a mesh that has `count` axes.
constexpr AxisSet all_axes(int count) { return AxisSet{(std::uint32_t{1} << count) - 1}; }

/// Ordered list of axes, major first, such as the axes that split one dimension of a tensor.
using AxisList = StaticVector<int, max_axes, std::int8_t>;

/// Returns the set of the axes in a list.
constexpr AxisSet set_of(AxisList const& axes) {
  AxisSet result;
  for (int axis : axes) result |= AxisSet::of(axis);
  return result;
}

}  // namespace gshard
