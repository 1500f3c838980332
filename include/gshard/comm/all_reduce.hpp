// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// Combines `count` elements over the ranks of `group`, in place: every rank ends with the same result.
/// Moves 2 (p - 1) / p of the buffer per rank in a ring.
template <class T>
void all_reduce(Group const& group, T* data, std::int64_t count, Reduction reduction = Reduction::sum,
                std::int64_t limit = largest_count) {
  static_assert(detail::can_be_reduced<T>, "gshard: MPI cannot reduce this element type; reshard reduces it, in float");
  if (group.size == 1) return;
  detail::check_same("all_reduce", group, {count});
  Kokkos::Profiling::ScopedRegion const region("gshard::all_reduce");
  if (count == 0) return;
  if (detail::only_counted(group, Collective::all_reduce, 2 * (group.size - 1),
                           detail::ring_bytes<T>(group, 2 * count)))
    return;
  detail::in_pieces(count, limit, [&](std::int64_t offset, int piece) {
    MPI_Allreduce(MPI_IN_PLACE, data + offset, piece, detail::type_of<T>(), detail::operation_of(reduction),
                  group.communicator);
  });
}

}  // namespace gshard::comm
