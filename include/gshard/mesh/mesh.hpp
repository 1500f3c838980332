// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/core/abstract_runtime.hpp>
#include <gshard/core/compile_error.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/runtime.hpp>
#include <gshard/mesh/axis.hpp>
#include <gshard/mesh/mesh_state.hpp>
#include <gshard/mesh/rank_order.hpp>

namespace gshard {

namespace error {

template <int Given, int Wanted>
struct MeshSizesCount {
  static_assert(always_false<std::integral_constant<int, Given>>,
                "gshard: the number of sizes is not the number of axes of the mesh; give one size for each Axis<...>");
};

}  // namespace error

namespace detail {

/// Whether no two axes have one name.
template <class... Axes>
constexpr bool are_different() {
  std::array<std::string_view, sizeof...(Axes)> const names{Axes::name...};
  for (auto name = names.begin(); name != names.end(); ++name)
    if (std::find(name + 1, names.end(), *name) != names.end()) return false;
  return true;
}

}  // namespace detail

/// The ranks of a job, arranged along named axes in row-major order: the last axis runs fastest, unless a RankOrder
/// says which rank stands where. Copies are handles of one mesh; tensors that meet in an operation live on one mesh.
template <class... Axes>
class Mesh {
 public:
  static constexpr int axis_count = sizeof...(Axes);
  static_assert(axis_count <= max_axes, "gshard: a mesh has at most 8 axes");
  static_assert(detail::are_different<Axes...>(),
                "gshard: two axes of the mesh have the same name; give each a name of its own");

  /// The names of the axes.
  static constexpr std::array<std::string_view, axis_count> names{Axes::name...};

  /// The position of the axis of this name, or -1.
  static constexpr int find(std::string_view name) {
    for (int axis = 0; axis < axis_count; ++axis)
      if (names[static_cast<std::size_t>(axis)] == name) return axis;
    return -1;
  }

  static constexpr std::string_view name(int axis) { return names[static_cast<std::size_t>(axis)]; }

  /// The size of an axis where the type fixes it, else `dynamic_size`.
  static constexpr int static_size(int axis) {
    return std::array<int, axis_count>{Axes::size...}[static_cast<std::size_t>(axis)];
  }

  /// No mesh: only to be assigned to. What asks for its ranks or sizes throws StateError.
  Mesh() = default;

  /// Makes a mesh over all ranks of `runtime` with the given sizes, in the order of the axes, as `Grid(runtime, {2,
  /// 4})`. Communicates nothing: the communicator of a group of ranks is made where it is first used. Throws MeshError,
  /// on every rank, where the product is not the number of ranks, a size contradicts the type, or the order is none.
  template <std::size_t Count>
  Mesh(Runtime& runtime, int const (&sizes)[Count], std::optional<RankOrder> const& order = {})
      : Mesh(runtime, counted(sizes), order) {}
  Mesh(Runtime& runtime, std::array<int, axis_count> const& sizes, std::optional<RankOrder> const& order = {})
      : state_(std::make_shared<detail::MeshState const>(runtime, std::vector<std::string>{std::string(Axes::name)...},
                                                         checked(sizes), order)) {}

  /// Makes a mesh of any size without ranks, for tensors in AbstractSpace.
  template <std::size_t Count>
  Mesh(AbstractRuntime& runtime, int const (&sizes)[Count], std::optional<RankOrder> const& order = {})
      : Mesh(runtime, counted(sizes), order) {}
  Mesh(AbstractRuntime& runtime, std::array<int, axis_count> const& sizes, std::optional<RankOrder> const& order = {})
      : state_(std::make_shared<detail::MeshState const>(runtime, std::vector<std::string>{std::string(Axes::name)...},
                                                         checked(sizes), order)) {}

  /// A mesh whose sizes are all fixed by its type.
  explicit Mesh(Runtime& runtime, std::optional<RankOrder> const& order = {})
    requires((Axes::size != dynamic_size) && ...)
      : Mesh(runtime, std::array<int, axis_count>{Axes::size...}, order) {}

  int rank() const { return state().rank(); }
  int ranks() const { return state().ranks(); }
  int size(int axis) const { return state().size(axis); }
  int coordinate(int axis) const { return state().coordinate(axis); }

  /// The size of the axis `Name`, as in `grid.size<"expert">()`.
  template <FixedString Name>
  int size() const {
    return size(known<Name>());
  }

  /// This rank's coordinate along the axis `Name`.
  template <FixedString Name>
  int coordinate() const {
    return coordinate(known<Name>());
  }

  /// The ranks that differ from this one along the axes `Names` only.
  template <FixedString... Names>
  Group const& group() const {
    return state().group((AxisSet::of(known<Names>()) | ... | AxisSet{}));
  }

  /// Whether this is a handle of some mesh, which a default-constructed or moved-from one is not.
  bool is_set() const { return state_ != nullptr; }

  /// The mesh as "data=2, expert=4".
  std::string text() const { return is_set() ? state_->text() : "unset"; }

  MemoryPool& memory() const { return state().memory(); }
  detail::MeshState const& state() const {
    if (!state_) detail::refuse_unset_mesh();
    return *state_;
  }

  /// The mesh of this state, which meshes of no other type have.
  explicit Mesh(std::shared_ptr<detail::MeshState const> state) : state_(std::move(state)) {}
  std::shared_ptr<detail::MeshState const> const& shared_state() const { return state_; }

  friend bool operator==(Mesh const& left, Mesh const& right) { return left.state_ == right.state_; }

 private:
  template <FixedString Name>
  static constexpr int known() {
    static_assert(find(Name.view()) >= 0,
                  "gshard: this mesh has no axis of that name; compare with the axes in the type of the mesh");
    return find(Name.view());
  }

  template <std::size_t Count>
  static std::array<int, axis_count> counted(int const (&sizes)[Count]) {
    if constexpr (static_cast<int>(Count) != axis_count) {
      using Refused [[maybe_unused]] = decltype(error::MeshSizesCount<static_cast<int>(Count), axis_count>{});
      return {};
    } else {
      return std::to_array(sizes);
    }
  }

  static std::vector<int> checked(std::array<int, axis_count> const& sizes) {
    for (int axis = 0; axis < axis_count; ++axis) {
      int const fixed = static_size(axis);
      int const given = sizes[static_cast<std::size_t>(axis)];
      if (fixed != dynamic_size && given != fixed)
        throw MeshError("mesh axis '" + std::string(name(axis)) + "' has the fixed size " + std::to_string(fixed) +
                        ", not " + std::to_string(given));
    }
    return {sizes.begin(), sizes.end()};
  }

  std::shared_ptr<detail::MeshState const> state_;
};

}  // namespace gshard
