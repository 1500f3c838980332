// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include <gshard/comm/all_to_all.hpp>
#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// Concatenates the buffers of all ranks of `group` on every rank: `counts[r]` elements from rank r, in rank order.
/// `send` has counts[group.rank] elements, `receive` has sum_r counts[r].
/// Preconditions: `counts` is the same on every rank; `send` is complete (fenced); the buffers do not overlap.
/// Communication: all-gather over `group`; bytes sent per rank, as in a ring:
/// (p - 1) / p * sum_r counts[r] * sizeof(T).
/// Throws CommunicationError if `counts` has not one entry, 0 or more, for each rank, if the sum of the counts exceeds
/// 64 bits, if MPI fails, or if checked ranks disagree.
template <class T>
void all_gather(Group const& group, T const* send, T* receive, std::vector<std::int64_t> const& counts,
                std::int64_t limit = largest_count, std::source_location site = std::source_location::current()) {
  detail::check_counts("all_gather", group, counts);
  if (detail::is_checked(group))
    detail::check_same(group, detail::concat("all_gather of ", detail::name_of_type<T>()), counts, site);
  Kokkos::Profiling::ScopedRegion const region("gshard::all_gather");
  std::int64_t const own = counts[static_cast<std::size_t>(group.rank)];
  std::int64_t const all = detail::total(counts);
  if (detail::only_counted(group, Collective::all_gather, group.size - 1, detail::ring_bytes<T>(group, all))) return;
  if (all > detail::elements_in_call<T>(limit)) {
    // The offsets of MPI_Allgatherv are int. An all-to-all sends the same part to every rank, in pieces.
    Parts same_for_all;
    same_for_all.counts.assign(counts.size(), own);
    same_for_all.offsets.assign(counts.size(), 0);
    all_to_all(detail::uncounted(group), send, same_for_all, receive, Parts(counts), all, limit, site);
    return;
  }
  detail::Counts const narrow(counts);
  detail::require_mpi(
      MPI_Allgatherv(detail::valid(send), static_cast<int>(own), detail::type_of<T>(), detail::valid(receive),
                     narrow.counts.data(), narrow.offsets.data(), detail::type_of<T>(), group.communicator()),
      "MPI_Allgatherv");
}

}  // namespace gshard::comm
