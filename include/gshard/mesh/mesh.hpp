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

/// Compile error of a mesh constructed from `Given` sizes instead of `Wanted`.
template <int Given, int Wanted>
struct MeshSizesCount {
  static_assert(always_false<std::integral_constant<int, Given>>,
                "gshard: the number of sizes is not the number of axes of the mesh; give one size for each Axis<...>");
};

}  // namespace error

namespace detail {

/// Returns whether the names of all axes differ.
template <class... Axes>
constexpr bool are_different() {
  std::array<std::string_view, sizeof...(Axes)> const names{Axes::name...};
  for (auto name = names.begin(); name != names.end(); ++name)
    if (std::find(name + 1, names.end(), *name) != names.end()) return false;
  return true;
}

}  // namespace detail

/// Handle of a mesh: the ranks of a job, arranged along named axes.
/// Ranks are in row-major order, the last axis fastest, unless a RankOrder gives another order.
/// Copies are handles of one mesh. Meshes are equal if they are handles of one mesh, not if their sizes agree.
template <class... Axes>
class Mesh {
 public:
  static constexpr int axis_count = sizeof...(Axes);
  static_assert(axis_count <= max_axes, "gshard: a mesh has at most 8 axes");
  static_assert(detail::are_different<Axes...>(),
                "gshard: two axes of the mesh have the same name; give each a name of its own");

  /// Names of the axes, in order.
  static constexpr std::array<std::string_view, axis_count> names{Axes::name...};

  /// Returns the position of the axis `name`, or -1.
  static constexpr int find(std::string_view name) {
    for (int axis = 0; axis < axis_count; ++axis)
      if (names[static_cast<std::size_t>(axis)] == name) return axis;
    return -1;
  }

  /// Returns the name of an axis.
  /// Precondition: `axis` is in [0, axis_count).
  static constexpr std::string_view name(int axis) { return names[static_cast<std::size_t>(axis)]; }

  /// Returns the size of an axis if its type fixes it, else `dynamic_size`.
  /// Precondition: `axis` is in [0, axis_count).
  static constexpr int static_size(int axis) {
    return std::array<int, axis_count>{Axes::size...}[static_cast<std::size_t>(axis)];
  }

  /// Constructs an unset handle, which can be assigned to.
  /// Functions that need ranks, sizes or memory throw StateError.
  Mesh() = default;

  /// Constructs a mesh over all ranks of `runtime`; `sizes` are in the order of the axes, as `Grid(runtime, {2, 4})`.
  /// Communication: none; the communicator of a group is made at its first use. With `runtime.check_communication()`,
  /// collective over all ranks: compares the meshes of the ranks and makes the communicators of all groups.
  /// Throws MeshError if a size is less than 1 or contradicts the type, if the product of the sizes is not the number
  /// of ranks, or if `order` is not a permutation of the ranks.
  /// Throws CommunicationError if communication is checked and the ranks construct different meshes.
  template <std::size_t Count>
  Mesh(Runtime& runtime, int const (&sizes)[Count], std::optional<RankOrder> const& order = {})
      : Mesh(runtime, counted(sizes), order) {}
  Mesh(Runtime& runtime, std::array<int, axis_count> const& sizes, std::optional<RankOrder> const& order = {})
      : state_(std::make_shared<detail::MeshState const>(runtime, std::vector<std::string>{std::string(Axes::name)...},
                                                         checked(sizes), order)) {}

  /// Constructs an abstract mesh, with sizes of any product up to 2^31 - 1, for tensors in AbstractSpace.
  /// Communication: none.
  /// Throws MeshError if a size is less than 1 or contradicts the type, if the product is too large, if the rank of
  /// `runtime` is outside the mesh, or if `order` is not a permutation of the ranks.
  template <std::size_t Count>
  Mesh(AbstractRuntime& runtime, int const (&sizes)[Count], std::optional<RankOrder> const& order = {})
      : Mesh(runtime, counted(sizes), order) {}
  Mesh(AbstractRuntime& runtime, std::array<int, axis_count> const& sizes, std::optional<RankOrder> const& order = {})
      : state_(std::make_shared<detail::MeshState const>(runtime, std::vector<std::string>{std::string(Axes::name)...},
                                                         checked(sizes), order)) {}

  /// Constructs a mesh whose type fixes all sizes. Communicates and throws as the constructor from sizes.
  explicit Mesh(Runtime& runtime, std::optional<RankOrder> const& order = {})
    requires((Axes::size != dynamic_size) && ...)
      : Mesh(runtime, std::array<int, axis_count>{Axes::size...}, order) {}

  /// Returns the rank of this process in the job, or the rank of the AbstractRuntime; in [0, ranks()).
  /// Throws StateError if the mesh is unset.
  int rank() const { return state().rank(); }
  /// Returns the number of ranks of the mesh. Throws StateError if the mesh is unset.
  int ranks() const { return state().ranks(); }
  /// Returns the size of an axis. Throws StateError if the mesh is unset, IndexError if there is no such axis.
  int size(int axis) const { return state().size(axis); }
  /// Returns the coordinate of this rank along an axis. Throws as `size(axis)`.
  int coordinate(int axis) const { return state().coordinate(axis); }

  /// Returns the size of the axis `Name`, as in `grid.size<"expert">()`. Throws StateError if the mesh is unset.
  template <FixedString Name>
  int size() const {
    return size(known<Name>());
  }

  /// Returns the coordinate of this rank along the axis `Name`. Throws StateError if the mesh is unset.
  template <FixedString Name>
  int coordinate() const {
    return coordinate(known<Name>());
  }

  /// Returns the group of ranks that differ from this rank in the coordinates along `Names` only.
  /// Communication: none; see Group::communicator.
  /// Throws StateError if the mesh is unset.
  template <FixedString... Names>
  Group const& group() const {
    return state().group((AxisSet::of(known<Names>()) | ... | AxisSet{}));
  }

  /// Returns false for a default-constructed or moved-from handle.
  bool is_set() const { return state_ != nullptr; }

  /// Returns the axes and sizes as "data=2, expert=4", or "unset".
  std::string text() const { return is_set() ? state_->text() : "unset"; }

  /// Returns the memory pool of the runtime. Throws StateError if the mesh is unset.
  MemoryPool& memory() const { return state().memory(); }
  /// Returns the state that all copies share. Throws StateError if the mesh is unset.
  detail::MeshState const& state() const {
    if (!state_) detail::refuse_unset_mesh();
    return *state_;
  }

  /// Wraps a state.
  /// Precondition: `state` was made by a mesh of this type.
  explicit Mesh(std::shared_ptr<detail::MeshState const> state) : state_(std::move(state)) {}
  /// Returns the owner of the state; null if the mesh is unset.
  std::shared_ptr<detail::MeshState const> const& shared_state() const { return state_; }

  /// Returns whether both are handles of one mesh.
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
