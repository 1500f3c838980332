// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include <gshard/core/error.hpp>
#include <gshard/mesh/mesh.hpp>

namespace gshard {

/// The sizes of a mesh from a text such as "data=1,expert=2", for a command line; axes that it leaves out have size 1.
/// Throws MeshError for an unknown axis, one named twice, or a size that is no positive number.
template <class Mesh>
std::array<int, Mesh::axis_count> parse_sizes(std::string_view text) {
  std::array<int, Mesh::axis_count> sizes;
  sizes.fill(1);
  std::string known;
  for (int axis = 0; axis < Mesh::axis_count; ++axis) known += (axis == 0 ? "" : ", ") + std::string(Mesh::name(axis));
  AxisSet named;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view const item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    std::size_t const equals = item.find('=');
    std::string_view const name = item.substr(0, equals);
    int const axis = Mesh::find(name);
    if (axis < 0)
      throw MeshError(detail::text("mesh \"", text, "\": there is no axis '", name, "'; the axes are ", known));
    if (named.contains(axis)) throw MeshError(detail::text("mesh \"", text, "\": axis '", name, "' is given twice"));
    named |= AxisSet::of(axis);
    std::string_view const number = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
    int size = 0;
    auto const [end, fault] = std::from_chars(number.data(), number.data() + number.size(), size);
    if (fault != std::errc() || end != number.data() + number.size() || size < 1)
      throw MeshError(detail::text("mesh \"", text, "\": '", number, "' is no size for axis '", name, "'; write ", name,
                                   "=N with N of 1 or more"));
    sizes[static_cast<std::size_t>(axis)] = size;
  }
  return sizes;
}

}  // namespace gshard
