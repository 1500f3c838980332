// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <gshard/core/compile_error.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/mesh/mesh.hpp>
#include <gshard/tensor/shard_range.hpp>
#include <gshard/tensor/spec.hpp>

namespace gshard {

/// Spec on a mesh as numbers, on which plans are computed. Axes are positions in the mesh.
/// `dimensions[d]`: the axes that split dimension d, major first.
/// `partial`: the axes over which the tensor is an unreduced sum.
struct Layout {
  StaticVector<AxisList, max_rank> dimensions;
  AxisSet partial;

  /// Returns the number of dimensions.
  constexpr int rank() const { return dimensions.size(); }

  /// Returns the axes that split some dimension.
  constexpr AxisSet split() const {
    AxisSet result;
    for (AxisList const& axes : dimensions) result |= set_of(axes);
    return result;
  }

  /// Returns the dimension that `axis` splits, or -1.
  constexpr int dimension_of(int axis) const {
    for (int dimension = 0; dimension < rank(); ++dimension)
      if (dimensions[dimension].contains(axis)) return dimension;
    return -1;
  }

  /// Returns whether every rank holds all elements: no axis splits a dimension or is partial.
  constexpr bool replicated() const { return split().empty() && partial.empty(); }

  friend constexpr bool operator==(Layout const&, Layout const&) = default;
};

namespace error {

/// Compile error of a spec that names the axis `AxisName`, which `Mesh` does not have.
template <class AxisName, class Mesh>
struct SpecNamesUnknownAxis {
  static_assert(
      always_false<AxisName>,
      "gshard: the spec names an axis that the mesh does not have; use one of the axes in the mesh's type, or add it there");
};

/// Compile error of a spec that names the axis `AxisName` of `Mesh` more than once.
template <class AxisName, class Mesh>
struct SpecUsesAxisTwice {
  static_assert(
      always_false<AxisName>,
      "gshard: a mesh axis can split one dimension, or be partial, but not both or twice; remove one of its uses from the spec");
};

}  // namespace error

namespace detail {

/// First mistake in a spec, and the name of the axis concerned.
struct SpecFault {
  enum Kind { none, unknown_axis, axis_twice } kind = none;
  AxisNames name{"", false};
};

/// Returns the layout of the well-formed part of a spec, and its first mistake.
template <class Mesh, class Spec>
constexpr std::pair<Layout, SpecFault> examine_spec() {
  std::pair<Layout, SpecFault> result;
  Layout& layout = result.first;
  SpecFault& fault = result.second;
  AxisSet used;
  auto add = [&](AxisNames const& names, AxisList& list) {
    for (int i = 0; i < names.count(); ++i) {
      int const axis = Mesh::find(names[i]);
      if (fault.kind == SpecFault::none && axis < 0) fault = {SpecFault::unknown_axis, AxisNames{names[i], false}};
      if (axis < 0) continue;
      if (used.contains(axis)) {
        if (fault.kind == SpecFault::none) fault = {SpecFault::axis_twice, AxisNames{names[i], false}};
        continue;
      }
      used |= AxisSet::of(axis);
      list.push_back(axis);
    }
  };
  for (int dimension = 0; dimension < Spec::rank; ++dimension) {
    AxisList list;
    add(Spec::dimension(dimension), list);
    layout.dimensions.push_back(list);
  }
  AxisList partial;
  add(Spec::partial_axes(), partial);
  layout.partial = set_of(partial);
  return result;
}

template <AxisNames Names, std::size_t... Positions>
constexpr auto name_of(std::index_sequence<Positions...>) {
  return error::Name<Names.text[Positions]...>{};
}

/// Carries the characters of `Names` as a pack, which every compiler prints.
template <AxisNames Names>
using NameOf = decltype(name_of<Names>(std::make_index_sequence<Names.view().size()>{}));

/// Returns the layout of `Spec` on `Mesh`. Does not compile if the spec has a mistake.
template <class Mesh, class Spec>
consteval Layout checked_layout() {
  static_assert(Spec::rank <= max_rank, "gshard: a tensor has at most 8 dimensions, as Kokkos::View");
  constexpr auto examined = examine_spec<Mesh, Spec>();
  constexpr SpecFault fault = examined.second;
  if constexpr (fault.kind == SpecFault::unknown_axis)
    using Refused [[maybe_unused]] = decltype(error::SpecNamesUnknownAxis<NameOf<fault.name>, Mesh>{});
  if constexpr (fault.kind == SpecFault::axis_twice)
    using Refused [[maybe_unused]] = decltype(error::SpecUsesAxisTwice<NameOf<fault.name>, Mesh>{});
  return examined.first;
}

/// Returns the Spec entry of a dimension that `axes` split.
template <class Mesh>
constexpr AxisNames names_of(AxisList const& axes) {
  AxisNamesBuilder builder;
  for (int axis : axes) builder.add(Mesh::name(axis));
  return {builder.view(), false};
}

/// Returns the Spec entry of an unreduced sum over `axes`.
template <class Mesh>
constexpr AxisNames names_of(AxisSet axes) {
  AxisNamesBuilder builder;
  for (int axis = 0; axis < Mesh::axis_count; ++axis)
    if (axes.contains(axis)) builder.add(Mesh::name(axis));
  return partial_names(AxisNames{builder.view(), false});
}

/// Spec of a layout; `IsPartial` adds the partial entry.
template <class Mesh, Layout Value, class Dimensions, bool IsPartial>
struct SpecEntries;
template <class Mesh, Layout Value, std::size_t... Dimensions>
struct SpecEntries<Mesh, Value, std::index_sequence<Dimensions...>, false> {
  using type = Spec<names_of<Mesh>(Value.dimensions[static_cast<int>(Dimensions)])...>;
};
template <class Mesh, Layout Value, std::size_t... Dimensions>
struct SpecEntries<Mesh, Value, std::index_sequence<Dimensions...>, true> {
  using type = Spec<names_of<Mesh>(Value.dimensions[static_cast<int>(Dimensions)])..., names_of<Mesh>(Value.partial)>;
};

/// Defines spec_of. A class template, because nvcc expands aliases, and GCC cannot expand a pack around an expanded
/// std::make_index_sequence.
template <class Mesh, Layout Value>
struct SpecOfLayout {
  using type = typename SpecEntries<Mesh, Value, std::make_index_sequence<static_cast<std::size_t>(Value.rank())>,
                                    !Value.partial.empty()>::type;
};

/// Returns whether every extent equals `value`.
constexpr bool are_all(Extents const& extents, std::int64_t value) {
  for (std::int64_t extent : extents)
    if (extent != value) return false;
  return true;
}

/// `To` with the fixed extents of `From` where `To` fixes none.
/// Precondition: both specs have the same rank.
template <class To, class From>
struct SpecWithExtents {
  static constexpr AxisNames entry(int dimension) {
    AxisNames result = To::dimension(dimension);
    if (result.extent() == dynamic_extent) result.extent_code = From::dimension(dimension).extent_code;
    return result;
  }
  template <std::size_t... Dimensions>
  static consteval auto make(std::index_sequence<Dimensions...>) {
    if constexpr (To::partial_entries == 0) return Spec<entry(static_cast<int>(Dimensions))...>{};
    else return Spec<entry(static_cast<int>(Dimensions))..., To::partial_axes()>{};
  }
  using type = decltype(make(std::make_index_sequence<static_cast<std::size_t>(To::rank)>{}));
};
/// Leaves `To` as it is if the ranks differ or `From` fixes no extent.
template <class To, class From>
  requires(To::rank != From::rank || are_all(From::static_extents(), dynamic_extent))
struct SpecWithExtents<To, From> {
  using type = To;
};

/// Returns the first dimension in which the two lists fix different extents, or -1.
/// Precondition: both lists have the same length.
constexpr int contradiction(Extents const& left, Extents const& right) {
  for (int d = 0; d < left.size(); ++d)
    if (left[d] != dynamic_extent && right[d] != dynamic_extent && left[d] != right[d]) return d;
  return -1;
}

}  // namespace detail

/// Layout of `Spec` on `Mesh`.
/// Does not compile if the spec names an axis twice or one that the mesh lacks, or has more than 8 dimensions.
template <class Mesh, class Spec>
inline constexpr Layout layout_of = detail::checked_layout<Mesh, Spec>();

/// Spec whose layout on `Mesh` is `Value`; fixes no extents.
template <class Mesh, Layout Value>
using spec_of = typename detail::SpecOfLayout<Mesh, Value>::type;

/// `Spec` with the fixed extents of `Other` where `Spec` fixes none.
/// `Spec` itself if the ranks differ.
template <class Spec, class Other>
using with_extents_of = typename detail::SpecWithExtents<Spec, Other>::type;

namespace detail {

/// Returns the layout of the reduced tensor: without partial axes.
constexpr Layout without_partial(Layout layout) {
  layout.partial = {};
  return layout;
}

/// Box of global indices: [offsets[d], offsets[d] + extents[d]) in each dimension d.
struct Block {
  Extents offsets;
  Extents extents;
  friend constexpr bool operator==(Block const&, Block const&) = default;
};

/// Returns the global indices of a dimension that the rank at `coordinates` holds.
/// Axes nest in the order listed: each axis cuts the range that the axis before it left.
template <class Coordinates>
constexpr Range dimension_range(std::int64_t extent, AxisList const& axes, MeshState const& mesh,
                                Coordinates const& coordinates) {
  Range range{0, extent};
  for (int axis : axes) {
    Range const part = shard_range(range.size(), mesh.size(axis), coordinates[static_cast<std::size_t>(axis)]);
    range = {range.begin + part.begin, range.begin + part.end};
  }
  return range;
}

/// Returns the block that the rank at `coordinates` holds of a tensor of these global extents.
template <class Coordinates>
constexpr Block block_of(Layout const& layout, Extents const& extents, MeshState const& mesh,
                         Coordinates const& coordinates) {
  Block block;
  for (int dimension = 0; dimension < layout.rank(); ++dimension) {
    Range const range = dimension_range(extents[dimension], layout.dimensions[dimension], mesh, coordinates);
    block.offsets.push_back(range.begin);
    block.extents.push_back(range.size());
  }
  return block;
}

/// Returns the extents of the largest block of a layout: that of coordinate 0 along each axis.
/// `extents`: global; `size_of(axis)`: size of the axis.
template <class SizeOf>
constexpr Extents largest_block(Layout const& layout, Extents extents, SizeOf const& size_of) {
  for (int dimension = 0; dimension < layout.rank(); ++dimension)
    for (int axis : layout.dimensions[dimension])
      extents[dimension] = shard_range(extents[dimension], size_of(axis), 0).size();
  return extents;
}

/// Returns the common box of two blocks; a box of 0 elements if they are disjoint.
/// Precondition: both blocks have the same rank.
constexpr Block intersection(Block const& left, Block const& right) {
  Block result;
  for (int d = 0; d < left.extents.size(); ++d) {
    Range const range = gshard::intersection({left.offsets[d], left.offsets[d] + left.extents[d]},
                                             {right.offsets[d], right.offsets[d] + right.extents[d]});
    result.offsets.push_back(range.begin);
    result.extents.push_back(range.size());
  }
  return result;
}

/// Returns a layout as "[data,expert | _ | _ | partial expert]".
inline std::string text_of(Layout const& layout, std::span<std::string_view const> axis_names) {
  std::string result;
  auto add_axes = [&](AxisList const& axes) {
    for (int i = 0; i < axes.size(); ++i)
      result += concat(i == 0 ? "" : ",", axis_names[static_cast<std::size_t>(axes[i])]);
  };
  for (int dimension = 0; dimension < layout.rank(); ++dimension) {
    result += dimension == 0 ? "[" : " | ";
    if (layout.dimensions[dimension].empty()) result += "_";
    add_axes(layout.dimensions[dimension]);
  }
  if (!layout.partial.empty()) {
    result += layout.rank() == 0 ? "[partial " : " | partial ";
    AxisList partial;
    for (int axis = 0; axis < static_cast<int>(axis_names.size()); ++axis)
      if (layout.partial.contains(axis)) partial.push_back(axis);
    add_axes(partial);
  }
  return (result.empty() ? "[" : result) + "]";
}
template <class Mesh>
std::string text_of(Layout const& layout) {
  return text_of(layout, Mesh::names);
}

}  // namespace detail
}  // namespace gshard
