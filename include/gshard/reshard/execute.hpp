// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/comm/all_gather.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/comm/permute.hpp>
#include <gshard/comm/reduce_scatter.hpp>
#include <gshard/reshard/count.hpp>
#include <gshard/reshard/exchange.hpp>
#include <gshard/reshard/plan.hpp>
#include <gshard/reshard/rounded_sums.hpp>

namespace gshard::detail {

/// Whether every rank of `mesh` holds the same elements in both layouts: they differ in axes of size 1 at most.
inline bool same_blocks(Layout const& left, Layout const& right, MeshState const& mesh) {
  AxisSet alone;
  for (int axis = 0; axis < mesh.axis_count(); ++axis)
    if (mesh.size(axis) == 1) alone |= AxisSet::of(axis);
  for (int d = 0; d < left.rank(); ++d)
    if (without(left.dimensions[d], alone) != without(right.dimensions[d], alone)) return false;
  return left.partial - alone == right.partial - alone;
}

/// One tensor on its way between two layouts: the block that this rank has and the one that it gets.
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

  static void fence() { detail::fence<MemorySpace>("gshard: local work before communication"); }

  /// The box of each member of this rank's group along `axes`.
  std::vector<Piece> pieces(AxisSet axes, auto const& box_of) const {
    std::vector<Piece> list;
    for (int member = 0; member < mesh.group(axes).size; ++member)
      list.emplace_back(box_of(mesh.member_coordinates(axes, member)));
    return list;
  }

  /// As `pieces`, without this rank's own; members that differ along `replicated` only have the same one.
  std::vector<Piece> pieces_of_others(AxisSet axes, AxisSet replicated, auto const& box_of) const {
    Group const& group = mesh.group(axes);
    std::vector<Piece> list(static_cast<std::size_t>(group.size));
    std::vector<int> first_of(list.size(), -1);
    for (int member = 0; member < group.size; ++member) {
      if (member == group.rank) continue;
      std::vector<int> const coordinates = mesh.member_coordinates(axes, member);
      int& first = first_of[static_cast<std::size_t>(mesh.member_index(axes - replicated, coordinates))];
      Piece& piece = list[static_cast<std::size_t>(member)];
      if (first < 0) {
        first = member;
        piece = Piece(box_of(coordinates));
      } else {
        piece = list[static_cast<std::size_t>(first)];
        piece.same_as = first;
      }
    }
    return list;
  }

  void slice() const { copy_box<MemorySpace>(result, after(), source, before(), intersection(before(), after())); }

  /// Each rank gets, from the members of its group along `axes`, what its new block shares with their old ones.
  void exchange(AxisSet axes) const {
    if (mesh.size(axes) == 1) return slice();
    Block const mine_before = before();
    Block const mine_after = after();
    if constexpr (is_abstract<MemorySpace>)
      return count_exchange<T>(mesh, axes, extents, from, mine_before, to, mine_after);
    auto sent = pieces_of_others(axes, axes - to.split(),
                                 [&](auto const& member) { return intersection(mine_before, after(member)); });
    auto received =
        pieces_of_others(axes, {}, [&](auto const& member) { return intersection(before(member), mine_after); });
    Exchange<MemorySpace, T>{mesh.group(axes),
                             source,
                             mine_before,
                             std::move(sent),
                             result,
                             mine_after,
                             std::move(received),
                             intersection(mine_before, mine_after),
                             std::max(largest_block(from), largest_block(to))}
        .run(mesh.memory(), limit);
  }

  /// Each rank sends its block to one of the members of its group along `axes`.
  void permute(AxisSet axes) const {
    AxisList const source_axes = permuted_axes(from, to, mesh.axis_count());
    std::vector<int> target = mesh.coordinates();
    std::vector<int> origin = mesh.coordinates();
    for (int axis = 0; axis < mesh.axis_count(); ++axis) {
      target[static_cast<std::size_t>(axis)] = mesh.coordinate(source_axes[axis]);
      origin[static_cast<std::size_t>(source_axes[axis])] = mesh.coordinate(axis);
    }
    int const to_member = mesh.member_index(axes, target);
    std::int64_t const count = product(before().extents);
    // A rank that keeps its block takes part nevertheless, with no message: communicators are made by all of a group.
    bool const keeps = to_member == mesh.group(axes).rank;
    if (keeps) copy_elements<MemorySpace>(result, source, count);
    else fence();
    comm::permute(mesh.group(axes), source, keeps ? 0 : count, to_member, result, keeps ? 0 : product(after().extents),
                  mesh.member_index(axes, origin), limit);
  }

  void all_gather(AxisSet axes) const {
    Block const mine_after = after();
    if constexpr (is_abstract<MemorySpace>) return count_all_gather<T>(mesh, axes, extents, from, mine_after);
    auto received = pieces(axes, [&](auto const& member) { return before(member); });
    PartBuffer<MemorySpace, T> const receive(result, mine_after, std::move(received), PartOrder::packed, mesh.memory());
    fence();
    comm::all_gather(mesh.group(axes), source, receive.buffer(), receive.parts().counts, limit);
    receive.unpack();
  }

  void reduce_scatter(AxisSet axes) const {
    Block const mine_before = before();
    if constexpr (is_abstract<MemorySpace>)
      return count_reduce_scatter<T>(mesh, axes, extents, to, mine_before, after());
    auto sent = pieces(axes, [&](auto const& member) { return after(member); });
    PartBuffer<MemorySpace, T const> const send(source, mine_before, std::move(sent), PartOrder::packed, mesh.memory());
    send.pack();
    fence();
    if constexpr (is_rounded<T>)
      reduce_scatter_rounded<MemorySpace>(mesh.group(axes), send.buffer(), result, send.parts().counts, mesh.memory(),
                                          limit);
    else comm::reduce_scatter(mesh.group(axes), send.buffer(), result, send.parts().counts, limit);
  }

  void all_reduce(AxisSet axes) const {
    std::int64_t const count = product(after().extents);
    if (result != source) copy_elements<MemorySpace>(result, source, count);
    fence();
    if constexpr (is_rounded<T>) all_reduce_rounded<MemorySpace>(mesh.group(axes), result, count, mesh.memory(), limit);
    else comm::all_reduce<MemorySpace>(mesh.group(axes), result, count, comm::Reduction::sum, limit);
  }

  /// Zeros but for the old block, which the first rank along each axis that did not split the tensor before keeps.
  void zero_fill(AxisSet axes) const {
    Block const mine_after = after();
    std::int64_t const count = product(mine_after.extents);
    if (count == 0) return;
    fill_elements<MemorySpace>(result, count, T{});
    for (int axis = 0; axis < mesh.axis_count(); ++axis)
      if (axes.contains(axis) && from.dimension_of(axis) < 0 && mesh.coordinate(axis) != 0) return;
    copy_box<MemorySpace>(result, mine_after, source, before(), before());
  }

 private:
  std::int64_t largest_block(Layout const& layout) const {
    return product(detail::largest_block(layout, extents, [&](int axis) { return mesh.size(axis); }));
  }
};

}  // namespace gshard::detail
