// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

#include <gshard/core/error.hpp>
#include <gshard/mesh/mesh.hpp>

namespace gshard {

/// Returns the sizes of a mesh, in the order of its axes, from a text such as "data=1,expert=2" of a command line.
/// An axis that the text omits gets the size that its type fixes, or 1.
/// Throws MeshError if an item is empty (as after a trailing comma), if an axis is unknown or named twice, or if a size
/// is not a positive int or contradicts the type.
template <class Mesh>
std::array<int, Mesh::axis_count> parse_sizes(std::string_view text) {
  std::array<int, Mesh::axis_count> sizes;
  for (int axis = 0; axis < Mesh::axis_count; ++axis)
    sizes[static_cast<std::size_t>(axis)] = std::max(Mesh::static_size(axis), 1);
  std::string known;
  for (int axis = 0; axis < Mesh::axis_count; ++axis) known += (axis == 0 ? "" : ", ") + std::string(Mesh::name(axis));
  AxisSet named;
  for (std::size_t begin = 0; begin < text.size();) {
    std::string_view const item = text.substr(begin, text.find(',', begin) - begin);
    begin += item.size() + 1;
    if (item.empty() || begin == text.size())
      throw MeshError(detail::concat("mesh \"", text, "\": an item is empty; write axis=size between single commas"));
    std::size_t const equals = item.find('=');
    std::string_view const name = item.substr(0, equals);
    int const axis = Mesh::find(name);
    if (axis < 0)
      throw MeshError(detail::concat("mesh \"", text, "\": there is no axis '", name, "'; the axes are ", known));
    if (named.contains(axis)) throw MeshError(detail::concat("mesh \"", text, "\": axis '", name, "' is given twice"));
    named |= AxisSet::of(axis);
    std::string_view const number = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
    int size = 0;
    auto const [end, fault] = std::from_chars(number.data(), number.data() + number.size(), size);
    if (fault != std::errc() || end != number.data() + number.size() || size < 1)
      throw MeshError(detail::concat("mesh \"", text, "\": '", number, "' is no size for axis '", name, "'; write ",
                                     name, "=N with N of 1 or more"));
    if (int const fixed = Mesh::static_size(axis); fixed != dynamic_size && size != fixed)
      throw MeshError(detail::concat("mesh \"", text, "\": the type of the mesh fixes axis '", name, "' at ", fixed));
    sizes[static_cast<std::size_t>(axis)] = size;
  }
  return sizes;
}

}  // namespace gshard
