// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include <gshard/comm/all_to_all.hpp>
#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// Gives every rank of `group` the concatenation of what all of them send: `counts[r]` elements from rank r, the same
/// counts on every rank. Receives all but its own part.
template <class T>
void all_gather(Group const& group, T const* send, T* receive, std::vector<std::int64_t> const& counts,
                std::int64_t limit = largest_count, std::source_location site = std::source_location::current()) {
  detail::check_counts("all_gather", group, counts);
  if (detail::is_checked(group))
    detail::check_same(group, detail::concat("all_gather of ", detail::name_of_type<T>()), counts, site);
  Kokkos::Profiling::ScopedRegion const region("gshard::all_gather");
  std::int64_t const own = counts[static_cast<std::size_t>(group.rank)];
  std::int64_t const all = detail::total(counts);
  if (all > detail::elements_in_call<T>(limit) && !group.is_abstract()) {
    Parts same_for_all;
    same_for_all.counts.assign(counts.size(), own);
    same_for_all.offsets.assign(counts.size(), 0);
    all_to_all(group, send, same_for_all, receive, Parts(counts), all, limit, site);
    return;
  }
  if (detail::only_counted(group, Collective::all_gather, group.size - 1, detail::ring_bytes<T>(group, all))) return;
  detail::Counts const narrow(counts);
  detail::require_mpi(
      MPI_Allgatherv(detail::valid(send), static_cast<int>(own), detail::type_of<T>(), detail::valid(receive),
                     narrow.counts.data(), narrow.offsets.data(), detail::type_of<T>(), group.communicator()),
      "MPI_Allgatherv");
}

}  // namespace gshard::comm
