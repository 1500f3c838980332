// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// Parts of a message buffer, one for each rank of a group. Counts and offsets are in elements.
struct Parts {
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> offsets;

  /// Constructs an empty list.
  Parts() = default;

  /// Places parts with these counts one after the other. Throws CommunicationError if an offset exceeds 64 bits.
  explicit Parts(std::vector<std::int64_t> packed) : counts(std::move(packed)) {
    std::int64_t sum = 0;
    for (std::int64_t count : counts) {
      offsets.push_back(sum);
      sum = gshard::detail::checked_sum<CommunicationError>(sum, count, "elements of a message");
    }
  }

  /// Returns the elements of the smallest buffer that contains all parts: max_r (offsets[r] + counts[r]), at least 0.
  /// Throws CommunicationError if a sum exceeds 64 bits.
  std::int64_t extent() const {
    std::int64_t result = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
      result = std::max(result,
                        gshard::detail::checked_sum<CommunicationError>(offsets[i], counts[i], "elements of a buffer"));
    return result;
  }
};

namespace detail {

/// Throws CommunicationError unless `parts` has one count and one offset, both 0 or more, for each rank of the group.
inline void check_parts(std::string_view operation, Group const& group, Parts const& parts) {
  check_counts(operation, group, parts.counts);
  if (parts.offsets.size() != parts.counts.size())
    throw CommunicationError(
        concat(operation, ": got ", parts.counts.size(), " counts, but ", parts.offsets.size(), " offsets"));
  for (std::int64_t offset : parts.offsets)
    if (offset < 0) throw CommunicationError(concat(operation, ": offset ", offset, " is negative"));
}

}  // namespace detail

/// Sends part r of `send` to rank r of `group` and receives part r of `receive` from rank r.
/// Preconditions: sent.counts[r] equals the count that rank r expects from this rank; `bound` is the same on every rank
/// and at least the extent of every rank's buffers (Parts::extent), in elements; `send` is complete (fenced); the
/// buffers do not overlap.
/// `bound` selects the method on all ranks alike: MPI_Alltoallv if `bound` elements fit in one MPI call, else
/// point-to-point messages in pieces.
/// Communication: all-to-all over `group`; one message to each other rank with a non-empty part; bytes sent per rank:
/// sum_{r != rank} sent.counts[r] * sizeof(T).
/// Throws CommunicationError if `sent` or `received` does not fit the group, if the counts of this rank's own part
/// differ, if a buffer exceeds `bound`, if MPI fails, or if checked ranks disagree.
template <class T>
void all_to_all(Group const& group, T const* send, Parts const& sent, T* receive, Parts const& received,
                std::int64_t bound, std::int64_t limit = largest_count,
                std::source_location site = std::source_location::current()) {
  detail::check_parts("all_to_all (sent)", group, sent);
  detail::check_parts("all_to_all (received)", group, received);
  if (detail::is_checked(group))
    detail::check_pairs(group, detail::concat("all_to_all of ", detail::name_of_type<T>()), sent.counts,
                        received.counts, bound, site);
  std::size_t const self = static_cast<std::size_t>(group.rank);
  if (sent.counts[self] != received.counts[self])
    throw CommunicationError(gshard::detail::concat("all_to_all: rank ", group.rank, " of the group sends itself ",
                                                    sent.counts[self], " elements but expects ",
                                                    received.counts[self]));
  if (std::max(sent.extent(), received.extent()) > bound)
    throw CommunicationError(gshard::detail::concat("all_to_all: rank ", group.rank, " of the group has a buffer of ",
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
  if (detail::only_counted(group, Collective::all_to_all, messages, detail::bytes_of<T>(elements))) return;
  MPI_Comm const communicator = group.communicator();  // its creation is collective, also for members without a message
  MPI_Datatype const type = detail::type_of<T>();
  std::int64_t const in_call = detail::elements_in_call<T>(limit);
  if (bound <= in_call) {
    auto narrow = [](std::vector<std::int64_t> const& wide) { return std::vector<int>(wide.begin(), wide.end()); };
    detail::require_mpi(MPI_Alltoallv(detail::valid(send), narrow(sent.counts).data(), narrow(sent.offsets).data(),
                                      type, detail::valid(receive), narrow(received.counts).data(),
                                      narrow(received.offsets).data(), type, communicator),
                        "MPI_Alltoallv");
    return;
  }
  std::vector<MPI_Request> requests;
  for (int peer = 0; peer < group.size; ++peer) {
    std::size_t const i = static_cast<std::size_t>(peer);
    detail::in_pieces(received.counts[i], in_call, [&](std::int64_t done, int piece) {
      detail::require_mpi(MPI_Irecv(receive + received.offsets[i] + done, piece, type, peer, detail::message_tag,
                                    communicator, &requests.emplace_back()),
                          "MPI_Irecv");
    });
  }
  for (int peer = 0; peer < group.size; ++peer) {
    std::size_t const i = static_cast<std::size_t>(peer);
    detail::in_pieces(sent.counts[i], in_call, [&](std::int64_t done, int piece) {
      detail::require_mpi(MPI_Isend(send + sent.offsets[i] + done, piece, type, peer, detail::message_tag, communicator,
                                    &requests.emplace_back()),
                          "MPI_Isend");
    });
  }
  gshard::detail::wait_for_all(requests);
}

}  // namespace gshard::comm
