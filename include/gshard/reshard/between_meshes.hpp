// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/device_assignment.hpp>
#include <gshard/tensor/unevaluated.hpp>

namespace gshard {

namespace detail {

/// Returns the layout in which a tensor leaves its mesh: without partial axes. These split dimension 0 instead, so that
/// the sum is one reduce-scatter; a tensor of rank 0 is all-reduced.
constexpr Layout leaving_layout(Layout layout, int axis_count) {
  for (int axis = 0; axis < axis_count && layout.rank() > 0; ++axis)
    if (layout.partial.contains(axis)) layout.dimensions[0].push_back(axis);
  layout.partial = {};
  return layout;
}

/// Returns the layout in which a tensor arrives on its new mesh: `layout` without partial axes.
constexpr Layout arriving_layout(Layout layout) {
  layout.partial = {};
  return layout;
}

/// Returns the steps from layout `from` on a mesh of axis sizes `sizes` to layout `to` on a mesh of `new_axis_count`
/// axes.
constexpr ReshardPlan plan_between(Layout const& from, StaticSizes const& sizes, Layout const& to, int new_axis_count) {
  ReshardPlan plan = plan_reshard(from, leaving_layout(from, sizes.size()), sizes);
  plan.add_step(Movement::exchange, all_axes(new_axis_count), arriving_layout(to));
  if (!to.partial.empty()) plan.add_step(Movement::zero_fill, to.partial, to);
  return plan;
}

/// Layout of a tensor of global `extents` on a mesh, with the ranks that hold each block. Blocks are numbered in
/// row-major order.
struct Placement {
  Layout const& layout;
  MeshState const& mesh;
  Extents const& extents;
  DeviceAssignment assignment = assignment_of(layout, mesh);

  /// Returns the block of `rank`.
  Block block(int rank) const { return block_of(layout, extents, mesh, mesh.coordinates_of(rank)); }
  /// Returns the elements of the largest block.
  std::int64_t largest() const {
    return product(largest_block(layout, extents, [&](int axis) { return mesh.size(axis); }));
  }
  int block_count() const { return mesh.ranks() / assignment.replicas; }
  /// Returns the rank that holds replica `replica` of block `number`.
  int holder(int number, int replica) const {
    return assignment.ranks[static_cast<std::size_t>(number * assignment.replicas + replica)];
  }

  /// Returns the number of the block of each rank.
  std::vector<int> numbers() const {
    std::vector<int> result(assignment.ranks.size());
    for (std::size_t i = 0; i < result.size(); ++i)
      result[static_cast<std::size_t>(assignment.ranks[i])] = static_cast<int>(i) / assignment.replicas;
    return result;
  }
};

/// Returns whether every rank holds the same block before and after.
inline bool same_blocks(Placement const& before, Placement const& after) {
  for (int rank = 0; rank < before.mesh.ranks(); ++rank)
    if (before.block(rank) != after.block(rank)) return false;
  return true;
}

/// Moves a tensor to another mesh by one exchange among all ranks. A rank copies the elements that it already holds and
/// receives each other element once. Member m of the exchange receives from replica m mod `replicas` of each old block,
/// which spreads the load over the replicas.
template <class MemorySpace, class T>
void exchange_between(Placement const& before, T const* source, Placement const& after, T* result) {
  MeshState const& mesh = after.mesh;
  AxisSet const all = all_axes(mesh.axis_count());
  int const self = mesh.rank();
  Block const mine_before = before.block(self);
  Block const mine_after = after.block(self);
  std::vector<int> const old_number = before.numbers();
  std::vector<int> const new_number = after.numbers();
  auto member_of = [&](int rank) { return mesh.member_index(all, mesh.coordinates_of(rank)); };
  auto source_of = [&](int number, int member) { return before.holder(number, member % before.assignment.replicas); };

  int const mine = old_number[static_cast<std::size_t>(self)];
  Exchange<MemorySpace, T> moved(mesh.group(all), mesh.memory());
  std::vector<int> first_of(static_cast<std::size_t>(after.block_count()), -1);
  for (int member = 0; member < mesh.ranks(); ++member) {
    int const receiver = mesh.rank_at(mesh.member_coordinates(all, member));
    if (old_number[static_cast<std::size_t>(receiver)] == mine || source_of(mine, member) != self) continue;
    int& first = first_of[static_cast<std::size_t>(new_number[static_cast<std::size_t>(receiver)])];
    if (first < 0) {
      first = member;
      moved.outgoing.add(member, source, box_in(intersection(mine_before, after.block(receiver)), mine_before));
    } else {
      moved.outgoing.repeat(member, first);
    }
  }
  std::vector<int> number_from(static_cast<std::size_t>(mesh.ranks()), -1);
  for (int number = 0; number < before.block_count(); ++number)
    if (number != mine) number_from[static_cast<std::size_t>(member_of(source_of(number, member_of(self))))] = number;
  for (int member = 0; member < mesh.ranks(); ++member) {
    int const number = number_from[static_cast<std::size_t>(member)];
    if (number < 0) continue;
    Block const theirs = before.block(before.holder(number, 0));
    moved.incoming.add(member, result, box_in(intersection(theirs, mine_after), mine_after));
  }
  Block const kept = intersection(mine_before, mine_after);
  moved.keep(source, box_in(kept, mine_before), result, box_in(kept, mine_after));
  moved.run(std::max(before.largest(), after.largest()));
}

/// Type of `Tensor` with spec `Spec` on a mesh of type `Mesh`.
template <class Mesh, class Spec, class Tensor>
using on_mesh = ShardedTensor<Mesh, with_extents_of<Spec, typename Tensor::spec_type>, typename Tensor::value_type,
                              typename Tensor::memory_space>;

/// Throws MeshError unless `mesh` and the mesh of `tensor` are of one runtime.
template <class Mesh, class Tensor>
void check_same_ranks(Mesh const& mesh, Tensor const& tensor) {
  if (&mesh.memory() != &tensor.memory())
    throw MeshError(concat("reshard of '", tensor.name(), "' from mesh (", tensor.mesh().text(), ") to mesh (",
                           mesh.text(),
                           "): the meshes are of two runtimes; make both from one, so that they have the same ranks"));
}

}  // namespace detail

/// Plan of `reshard<To>(tensor, mesh)` for a tensor of type `Tensor` and another mesh of type `NewMesh`, as a constant:
/// the reduction on the old mesh if the tensor is partial, one exchange among all ranks, and a zero-fill if `To` is
/// partial.
template <AnyTensor Tensor, class To, class NewMesh>
inline constexpr ReshardPlan reshard_plan_between = detail::plan_between(
    Tensor::layout, static_sizes_of<typename Tensor::mesh_type>(), layout_of<NewMesh, To>, NewMesh::axis_count);

/// Returns the tensor in the layout of spec `To` on another mesh: of other axes, other sizes or another rank order.
/// If `tensor` is an rvalue and the sole owner of its memory, the result may overwrite that memory.
/// Preconditions: both meshes are of one runtime; every rank calls it.
/// Communication: the steps of `reshard_plan_between<Tensor, To, Mesh<Axes...>>`. Each rank receives the elements that
/// it lacks, each once. The exchange is left out if every rank holds the same block before and after. On the mesh of
/// the tensor itself: as `reshard<To>(tensor)`.
/// Does not compile if the number of dimensions differs.
/// Throws StateError if the tensor or the mesh is unset, MeshError if the meshes are of different runtimes, and as
/// `reshard<To>(tensor)`.
template <class To, AnyTensor Tensor, class... Axes>
detail::on_mesh<Mesh<Axes...>, To, std::remove_cvref_t<Tensor>> reshard(Tensor&& tensor, Mesh<Axes...> const& mesh) {
  using Original = std::remove_cvref_t<Tensor>;
  using NewMesh = Mesh<Axes...>;
  if constexpr (To::rank != Original::rank) {
    using Refused [[maybe_unused]] = decltype(error::ReshardChangesRank<Original::rank, To::rank>{});
  } else {
    detail::require_set("reshard", {{"tensor", tensor}});
    detail::require_set("reshard", mesh);
    if constexpr (std::is_same_v<NewMesh, typename Original::mesh_type>)
      if (mesh == tensor.mesh()) return reshard<To>(std::forward<Tensor>(tensor));
    Kokkos::Profiling::ScopedRegion const region("gshard::reshard");
    detail::check_same_ranks(mesh, tensor);
    using Space = typename Original::memory_space;
    using Leaving = with_layout<Original, detail::leaving_layout(Original::layout, Original::mesh_type::axis_count)>;
    using Arriving =
        detail::on_mesh<NewMesh, spec_of<NewMesh, detail::arriving_layout(layout_of<NewMesh, To>)>, Original>;
    bool const may_overwrite = !std::is_lvalue_reference_v<Tensor> && tensor.is_sole_owner();
    Leaving const leaving = reshard<typename Leaving::spec_type>(std::forward<Tensor>(tensor));
    detail::Placement const before{Leaving::layout, leaving.mesh_state(), leaving.extents()};
    detail::Placement const after{Arriving::layout, mesh.state(), leaving.extents()};
    bool const nothing_moves = detail::same_blocks(before, after);
    bool const may_share = may_overwrite || leaving.data() != tensor.data();
    Arriving arriving = nothing_moves && may_share
                            ? leaving.template reinterpreted<typename Arriving::spec_type>(mesh, leaving.extents())
                            : Arriving(uninitialized, mesh, leaving.extents(), leaving.name());
    if (!nothing_moves) detail::exchange_between<Space>(before, leaving.data(), after, arriving.data());
    else if (!may_share) detail::copy_elements<Space>(arriving.data(), leaving.data(), leaving.local_size());
    return reshard<To>(std::move(arriving));
  }
}

}  // namespace gshard
