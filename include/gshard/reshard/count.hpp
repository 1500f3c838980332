// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/comm/message.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/reshard/exchange.hpp>

// What a movement of a reshard asks of a rank, where nothing moves: from this rank's blocks, not from those of every other rank.

namespace gshard::detail {

/// How many of the blocks of `layout` that ranks along `axes` hold share elements with `block`: for each dimension on its own, since blocks are boxes.
inline std::int64_t blocks_meeting(Block const& block, Layout const& layout, Extents const& extents, MeshState const& mesh, AxisSet axes) {
  if (product(block.extents) == 0) return 0;
  std::int64_t count = 1;
  for (int d = 0; d < layout.rank(); ++d) {
    AxisSet const own = axes & set_of(layout.dimensions[d]);
    Range const wanted{block.offsets[d], block.offsets[d] + block.extents[d]};
    std::int64_t meeting = 0;
    for (int member = 0; member < mesh.size(own); ++member)
      meeting += intersection(wanted, dimension_range(extents[d], layout.dimensions[d], mesh, mesh.member_coordinates(own, member))).size() > 0 ? 1 : 0;
    count *= meeting;
  }
  return count;
}

/// Enters an exchange among the ranks along `axes` from one block to another: each element of the old block goes to all that hold it afterwards.
template <class T>
void count_exchange(MeshState const& mesh, AxisSet axes, Block const& before, Block const& after, Layout const& to, Extents const& extents) {
  std::int64_t const replicas = mesh.size(axes - to.split());
  std::int64_t const kept = product(intersection(before, after).extents);
  std::int64_t const sent = product(before.extents) * replicas - kept;
  std::int64_t const received = product(after.extents) - kept;
  std::int64_t const messages = blocks_meeting(before, to, extents, mesh, axes) * replicas - (kept > 0 ? 1 : 0);
  comm::detail::only_counted(mesh.group(axes), Collective::all_to_all, messages, sent * static_cast<std::int64_t>(sizeof(T)));
  MemoryPool& pool = mesh.memory();
  Scratch<AbstractSpace> scratch(pool);
  // What several ranks want is packed once.
  scratch.get<T>(std::min(sent, product(before.extents)));
  scratch.get<T>(received);
}

template <class T>
void count_all_gather(Group const& group, MemoryPool& pool, Block const& before, Block const& after) {
  Scratch<AbstractSpace> scratch(pool);
  if (!is_contiguous(before.extents, after.extents)) scratch.get<T>(product(after.extents));
  comm::detail::only_counted(group, Collective::all_gather, group.size - 1, comm::detail::ring_bytes<T>(group, product(after.extents)));
}

template <class T>
void count_reduce_scatter(Group const& group, MemoryPool& pool, Block const& before, Block const& after) {
  Scratch<AbstractSpace> scratch(pool);
  if (!is_contiguous(after.extents, before.extents)) scratch.get<T>(product(before.extents));
  comm::detail::only_counted(group, Collective::reduce_scatter, group.size - 1, comm::detail::ring_bytes<T>(group, product(before.extents)));
}

}  // namespace gshard::detail
