// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// Sums `send` over the ranks of `group` and stores part r of the sum, `counts[r]` elements, on rank r.
/// `send` has sum_r counts[r] elements, the parts in rank order; `receive` has counts[group.rank].
/// Preconditions: `counts` is the same on every rank; `send` is complete (fenced); the buffers do not overlap.
/// Communication: reduce-scatter over `group`; bytes sent per rank, as in a ring:
/// (p - 1) / p * sum_r counts[r] * sizeof(T).
/// Throws CommunicationError if `counts` has not one entry, 0 or more, for each rank, if the sum of the counts exceeds
/// 64 bits, if MPI fails, or if checked ranks disagree.
template <class T>
void reduce_scatter(Group const& group, T const* send, T* receive, std::vector<std::int64_t> const& counts,
                    std::int64_t limit = largest_count, std::source_location site = std::source_location::current()) {
  static_assert(detail::can_be_reduced<T>, "gshard: MPI cannot reduce this element type; reshard reduces it, in float");
  detail::check_counts("reduce_scatter", group, counts);
  if (detail::is_checked(group))
    detail::check_same(group, detail::concat("reduce_scatter of ", detail::name_of_type<T>()), counts, site);
  Kokkos::Profiling::ScopedRegion const region("gshard::reduce_scatter");
  if (detail::only_counted(group, Collective::reduce_scatter, group.size - 1,
                           detail::ring_bytes<T>(group, detail::total(counts))))
    return;
  std::int64_t const in_call = detail::elements_in_call<T>(limit);
  if (detail::total(counts) <= in_call) {
    detail::Counts const narrow(counts);
    detail::require_mpi(MPI_Reduce_scatter(detail::valid(send), detail::valid(receive), narrow.counts.data(),
                                           detail::type_of<T>(), MPI_SUM, group.communicator()),
                        "MPI_Reduce_scatter");
    return;
  }
  // One MPI_Reduce_scatter cannot take the whole buffer, so each part is reduced to its rank, in pieces.
  T const* part = send;
  for (int root = 0; root < group.size; ++root) {
    std::int64_t const count = counts[static_cast<std::size_t>(root)];
    detail::in_pieces(count, in_call, [&](std::int64_t done, int piece) {
      T* target = group.rank == root ? receive + done : nullptr;
      detail::require_mpi(
          MPI_Reduce(part + done, target, piece, detail::type_of<T>(), MPI_SUM, root, group.communicator()),
          "MPI_Reduce");
    });
    part += count;
  }
}

}  // namespace gshard::comm
