// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// Where the parts of an exchange begin in a buffer, and how long they are, by rank of the group, in elements.
struct Parts {
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> offsets;

  Parts() = default;

  /// Parts one after the other.
  explicit Parts(std::vector<std::int64_t> packed) : counts(std::move(packed)) {
    std::int64_t sum = 0;
    for (std::int64_t count : counts) {
      offsets.push_back(sum);
      sum += count;
    }
  }

  /// The end of the last part.
  std::int64_t extent() const {
    std::int64_t result = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) result = std::max(result, offsets[i] + counts[i]);
    return result;
  }
};

/// Sends part r of `send` to rank r of `group` and receives part r of `receive` from it. `bound` is a number that no
/// buffer of any rank exceeds, the same on every rank: it decides between one call of MPI and messages in pieces.
template <class T>
void all_to_all(Group const& group, T const* send, Parts const& sent, T* receive, Parts const& received,
                std::int64_t bound, std::int64_t limit = largest_count) {
  detail::check_counts("all_to_all (sent)", group, sent.counts);
  detail::check_counts("all_to_all (received)", group, received.counts);
  detail::check_pairs("all_to_all", group, sent.counts, received.counts);
  detail::check_same("all_to_all (bound)", group, {bound});
  std::size_t const self = static_cast<std::size_t>(group.rank);
  if (sent.counts[self] != received.counts[self])
    throw CommunicationError(gshard::detail::text("all_to_all: rank ", group.rank, " of the group sends itself ",
                                                  sent.counts[self], " elements but expects ", received.counts[self]));
  if (std::max(sent.extent(), received.extent()) > bound)
    throw CommunicationError(gshard::detail::text("all_to_all: rank ", group.rank, " of the group has a buffer of ",
                                                  std::max(sent.extent(), received.extent()),
                                                  " elements, beyond the stated bound ", bound));
  Kokkos::Profiling::ScopedRegion const region("gshard::all_to_all");
  std::int64_t messages = 0;
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < sent.counts.size(); ++i) {
    if (i == self || sent.counts[i] == 0) continue;
    messages += 1;
    elements += sent.counts[i];
  }
  if (detail::only_counted(group, Collective::all_to_all, messages, elements * static_cast<std::int64_t>(sizeof(T))))
    return;
  MPI_Datatype const type = detail::type_of<T>();
  if (bound <= limit) {
    auto narrow = [](std::vector<std::int64_t> const& wide) { return std::vector<int>(wide.begin(), wide.end()); };
    MPI_Alltoallv(detail::valid(send), narrow(sent.counts).data(), narrow(sent.offsets).data(), type,
                  detail::valid(receive), narrow(received.counts).data(), narrow(received.offsets).data(), type,
                  group.communicator);
    return;
  }
  std::vector<MPI_Request> requests;
  for (int peer = 0; peer < group.size; ++peer) {
    std::size_t const i = static_cast<std::size_t>(peer);
    detail::in_pieces(received.counts[i], limit, [&](std::int64_t done, int piece) {
      MPI_Irecv(receive + received.offsets[i] + done, piece, type, peer, detail::message_tag, group.communicator,
                &requests.emplace_back());
    });
  }
  for (int peer = 0; peer < group.size; ++peer) {
    std::size_t const i = static_cast<std::size_t>(peer);
    detail::in_pieces(sent.counts[i], limit, [&](std::int64_t done, int piece) {
      MPI_Isend(send + sent.offsets[i] + done, piece, type, peer, detail::message_tag, group.communicator,
                &requests.emplace_back());
    });
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
}

}  // namespace gshard::comm
