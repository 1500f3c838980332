// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/comm/all_gather.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/comm/permute.hpp>
#include <gshard/comm/reduce_scatter.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/reshard/count.hpp>
#include <gshard/reshard/exchange.hpp>
#include <gshard/reshard/plan.hpp>
#include <gshard/reshard/rounded_sums.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::detail {

/// Returns whether every rank of `mesh` holds the same elements in both layouts: the layouts differ at most in axes of
/// size 1.
inline bool same_blocks(Layout const& left, Layout const& right, MeshState const& mesh) {
  AxisSet alone;
  for (int axis = 0; axis < mesh.axis_count(); ++axis)
    if (mesh.size(axis) == 1) alone |= AxisSet::of(axis);
  for (int d = 0; d < left.rank(); ++d)
    if (without(left.dimensions[d], alone) != without(right.dimensions[d], alone)) return false;
  return left.partial - alone == right.partial - alone;
}

/// One tensor between two layouts: this rank's old block `source` and its new block `result`.
template <class MemorySpace, class T>
struct Transfer {
  MeshState const& mesh;
  Extents const& extents;
  Layout const& from;
  Layout const& to;
  T const* source;
  T* result;
  std::int64_t limit = comm::largest_count;

  Block before(std::vector<int> const& coordinates) const { return block_of(from, extents, mesh, coordinates); }
  Block after(std::vector<int> const& coordinates) const { return block_of(to, extents, mesh, coordinates); }
  Block before() const { return before(mesh.coordinates()); }
  Block after() const { return after(mesh.coordinates()); }

  /// Returns the elements of the largest block of any rank.
  std::int64_t largest_block(Layout const& layout) const {
    return product(detail::largest_block(layout, extents, [&](int axis) { return mesh.size(axis); }));
  }

  /// Waits for local work on the blocks. MPI does not wait for kernels.
  static void fence() { detail::fence<MemorySpace>("gshard: local work before communication"); }
};

// The movements. Each function runs one step of a plan within the group along `axes`.

/// Copies the part of the old block that the new block keeps. Local.
template <class MemorySpace, class T>
void move_slice(Transfer<MemorySpace, T> const& moved, AxisSet) {
  Block const before = moved.before();
  Block const after = moved.after();
  Block const shared = intersection(before, after);
  copy_box<MemorySpace>(moved.result, box_in(shared, after), moved.source, box_in(shared, before));
}
GSHARD_COMPILED(move_slice)

/// Exchanges block intersections: each rank receives, from every other member of its group, the intersection of its new
/// block with the old block of that member. Members that differ only along axes that split no dimension in `to` receive
/// the same part, which is packed once.
/// Communication: all-to-all over `axes`.
template <class MemorySpace, class T>
void move_exchange(Transfer<MemorySpace, T> const& moved, AxisSet axes) {
  MeshState const& mesh = moved.mesh;
  if (mesh.size(axes) == 1) return move_slice(moved, axes);
  Group const& group = mesh.group(axes);
  AxisSet const apart = axes & moved.to.split();
  Block const mine_before = moved.before();
  Block const mine_after = moved.after();
  if constexpr (is_abstract<MemorySpace>)
    return count_exchange<T>(mesh, axes, moved.extents, moved.from, mine_before, moved.to, mine_after);
  Exchange<MemorySpace, T> exchange(group, mesh.memory());
  std::vector<int> first_of(static_cast<std::size_t>(mesh.size(apart)), -1);
  for (int member = 0; member < group.size; ++member) {
    if (member == group.rank) continue;
    std::vector<int> const there = mesh.member_coordinates(axes, member);
    int& first = first_of[static_cast<std::size_t>(mesh.member_index(apart, there))];
    if (first < 0) {
      first = member;
      exchange.outgoing.add(member, moved.source, box_in(intersection(mine_before, moved.after(there)), mine_before));
    } else {
      exchange.outgoing.repeat(member, first);
    }
    exchange.incoming.add(member, moved.result, box_in(intersection(moved.before(there), mine_after), mine_after));
  }
  Block const kept = intersection(mine_before, mine_after);
  exchange.keep(moved.source, box_in(kept, mine_before), moved.result, box_in(kept, mine_after));
  exchange.run(std::max(moved.largest_block(moved.from), moved.largest_block(moved.to)), false, moved.limit);
}
GSHARD_COMPILED(move_exchange)

/// Sends each block whole to one member of the group.
/// Communication: permute over `axes`; bytes sent per rank: those of its old block, 0 if the rank keeps it.
template <class MemorySpace, class T>
void move_permute(Transfer<MemorySpace, T> const& moved, AxisSet axes) {
  MeshState const& mesh = moved.mesh;
  AxisMap const source_axes = permuted_axes(moved.from, moved.to, mesh.axis_count());
  std::vector<int> target = mesh.coordinates();
  std::vector<int> origin = mesh.coordinates();
  for (int axis = 0; axis < mesh.axis_count(); ++axis) {
    target[static_cast<std::size_t>(axis)] = mesh.coordinate(source_axes[axis]);
    origin[static_cast<std::size_t>(source_axes[axis])] = mesh.coordinate(axis);
  }
  int const to_member = mesh.member_index(axes, target);
  std::int64_t const count = product(moved.before().extents);
  // Creation of the group's communicator is collective, so a rank that keeps its block calls permute with counts of 0.
  bool const keeps = to_member == mesh.group(axes).rank;
  if (keeps) copy_elements<MemorySpace>(moved.result, moved.source, count);
  else moved.fence();
  comm::permute(mesh.group(axes), moved.source, keeps ? 0 : count, to_member, moved.result,
                keeps ? 0 : product(moved.after().extents), mesh.member_index(axes, origin), moved.limit);
}
GSHARD_COMPILED(move_permute)

/// Gathers the old blocks of the group into the new block.
/// Communication: all-gather over `axes`.
template <class MemorySpace, class T>
void move_all_gather(Transfer<MemorySpace, T> const& moved, AxisSet axes) {
  MeshState const& mesh = moved.mesh;
  Group const& group = mesh.group(axes);
  Block const whole = moved.after();
  if constexpr (is_abstract<MemorySpace>) return count_all_gather<T>(mesh, axes, moved.extents, moved.from, whole);
  PartBuffer<MemorySpace, T> receive(group.size, mesh.memory());
  for (int member = 0; member < group.size; ++member)
    receive.add(member, moved.result, box_in(moved.before(mesh.member_coordinates(axes, member)), whole));
  receive.place(PartOrder::packed);
  moved.fence();
  comm::all_gather(group, moved.source, receive.buffer(), receive.parts().counts, moved.limit);
  receive.unpack();
}
GSHARD_COMPILED(move_all_gather)

/// Sums the old blocks of the group; each rank keeps its new block of the sum.
/// Communication: reduce-scatter over `axes`.
template <class MemorySpace, class T>
void move_reduce_scatter(Transfer<MemorySpace, T> const& moved, AxisSet axes) {
  MeshState const& mesh = moved.mesh;
  Group const& group = mesh.group(axes);
  Block const whole = moved.before();
  if constexpr (is_abstract<MemorySpace>)
    return count_reduce_scatter<T>(mesh, axes, moved.extents, moved.to, whole, moved.after());
  PartBuffer<MemorySpace, T const> send(group.size, mesh.memory());
  for (int member = 0; member < group.size; ++member)
    send.add(member, moved.source, box_in(moved.after(mesh.member_coordinates(axes, member)), whole));
  send.place(PartOrder::packed);
  send.pack();
  moved.fence();
  std::vector<std::int64_t> const& counts = send.parts().counts;
  if constexpr (is_rounded<T>)
    reduce_scatter_rounded<MemorySpace>(group, send.buffer(), moved.result, counts, mesh.memory(), moved.limit);
  else comm::reduce_scatter(group, send.buffer(), moved.result, counts, moved.limit);
}
GSHARD_COMPILED(move_reduce_scatter)

/// Sums the blocks of the group. `result` may be `source`.
/// Communication: all-reduce over `axes`.
template <class MemorySpace, class T>
void move_all_reduce(Transfer<MemorySpace, T> const& moved, AxisSet axes) {
  std::int64_t const count = product(moved.after().extents);
  if (moved.result != moved.source) copy_elements<MemorySpace>(moved.result, moved.source, count);
  moved.fence();
  Group const& group = moved.mesh.group(axes);
  if constexpr (is_rounded<T>)
    all_reduce_rounded<MemorySpace>(group, moved.result, count, moved.mesh.memory(), moved.limit);
  else comm::all_reduce<MemorySpace>(group, moved.result, count, comm::Reduction::sum, moved.limit);
}
GSHARD_COMPILED(move_all_reduce)

/// Makes `axes` partial: fills the new block with zeros and copies the old block into it such that the sum over `axes`
/// is the tensor. Along an axis that split the tensor, every rank copies its block; along another axis, the rank at
/// coordinate 0 does. Local.
template <class MemorySpace, class T>
void move_zero_fill(Transfer<MemorySpace, T> const& moved, AxisSet axes) {
  Block const after = moved.after();
  std::int64_t const count = product(after.extents);
  if (count == 0) return;
  fill_elements<MemorySpace>(moved.result, count, T{});
  for (int axis = 0; axis < moved.mesh.axis_count(); ++axis)
    if (axes.contains(axis) && moved.from.dimension_of(axis) < 0 && moved.mesh.coordinate(axis) != 0) return;
  Block const before = moved.before();
  copy_box<MemorySpace>(moved.result, box_in(before, after), moved.source, box_in(before, before));
}
GSHARD_COMPILED(move_zero_fill)

/// Table of one function for each kind of movement; null for kinds that the caller's plans lack. Keeps unused movements
/// out of the program.
template <class MemorySpace, class T>
struct Movers {
  using Mover = void (*)(Transfer<MemorySpace, T> const&, AxisSet);

  std::array<Mover, static_cast<std::size_t>(Movement::exchange) + 1> movers{};

  /// Returns the table of a set of movements.
  template <MovementSet Movements>
  static constexpr Movers of() {
    Movers result;
    auto set = [&](Movement movement, Mover mover) { result.movers[static_cast<std::size_t>(movement)] = mover; };
    if constexpr (Movements.contains(Movement::slice)) set(Movement::slice, move_slice<MemorySpace, T>);
    if constexpr (Movements.contains(Movement::zero_fill)) set(Movement::zero_fill, move_zero_fill<MemorySpace, T>);
    if constexpr (Movements.contains(Movement::all_gather)) set(Movement::all_gather, move_all_gather<MemorySpace, T>);
    if constexpr (Movements.contains(Movement::all_reduce)) set(Movement::all_reduce, move_all_reduce<MemorySpace, T>);
    if constexpr (Movements.contains(Movement::reduce_scatter))
      set(Movement::reduce_scatter, move_reduce_scatter<MemorySpace, T>);
    if constexpr (Movements.contains(Movement::permute)) set(Movement::permute, move_permute<MemorySpace, T>);
    if constexpr (Movements.contains(Movement::all_to_all)) set(Movement::all_to_all, move_exchange<MemorySpace, T>);
    if constexpr (Movements.contains(Movement::exchange)) set(Movement::exchange, move_exchange<MemorySpace, T>);
    return result;
  }

  /// Runs one step. Precondition: the table has the kind of the step.
  void move(Transfer<MemorySpace, T> const& transfer, ReshardStep const& step) const {
    movers[static_cast<std::size_t>(step.movement)](transfer, step.axes);
  }
};

/// Movers of a set of movements: one table for each set, element type and memory space.
template <class MemorySpace, class T, MovementSet Movements>
inline constexpr Movers<MemorySpace, T> movers_of = Movers<MemorySpace, T>::template of<Movements>();

/// Permitted use of the operand's memory in a reshard.
/// stays: the result has memory of its own.
/// is_read: the result may share the operand's memory; both are only read.
/// is_given_up: the result may overwrite the operand's memory.
enum class Original { stays, is_read, is_given_up };

/// Runs the steps of `plan` on `tensor` and returns the result, of type `to`. Compiled once for each element type and
/// memory space. Steps over axes of size 1 move nothing and share the elements; a plan without steps returns `tensor`.
/// Communication: the collectives of the plan.
/// Throws StateError if the tensor is unset, ExtentError if `to` fixes other extents.
template <class MemorySpace, class T>
TensorHandle run_reshard(TensorHandle tensor, ReshardPlan const& plan, Movers<MemorySpace, T> const& movers,
                         TensorType const& to, Original original) {
  require_set("reshard", {{"tensor", tensor}});
  (void)checked_extents(to, tensor->extents, tensor->name);
  if (plan.steps.empty()) return tensor;
  Kokkos::Profiling::ScopedRegion const region("gshard::reshard");
  bool may_overwrite = original == Original::is_given_up;
  for (ReshardStep const& step : plan.steps) {
    TensorType const type = to.with_layout(step.layout);
    bool const nothing_moves = same_blocks(tensor->layout, step.layout, *tensor->mesh);
    bool const in_place = nothing_moves || (step.movement == Movement::all_reduce && may_overwrite);
    TensorHandle next = in_place ? reinterpreted_tensor(*tensor, type, tensor->mesh, tensor->extents)
                                 : new_tensor<MemorySpace>(type, tensor->mesh, tensor->extents, tensor->name);
    if (!nothing_moves)
      movers.move(
          {*tensor->mesh, tensor->extents, tensor->layout, step.layout, tensor->elements<T>(), next->elements<T>()},
          step);
    may_overwrite = may_overwrite || !nothing_moves;
    tensor = std::move(next);
  }
  if (may_overwrite || original == Original::is_read) return tensor;
  TensorHandle copied =
      new_tensor<MemorySpace>(to.with_layout(tensor->layout), tensor->mesh, tensor->extents, tensor->name);
  copy_elements<MemorySpace>(copied->elements<T>(), tensor->elements<T>(), tensor->local_size);
  return copied;
}
GSHARD_COMPILED(run_reshard)

}  // namespace gshard::detail
