// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// Rank that stands for no partner: a permute sends, or receives, nothing (as MPI_PROC_NULL).
inline constexpr int no_rank = -1;

/// Handle of the messages that start_permute has started.
/// Precondition: the buffers stay alive and unused until `wait` has returned or the handle is destroyed.
class Pending {
 public:
  /// Constructs a handle without messages.
  Pending() = default;
  /// Takes over the requests of started messages.
  explicit Pending(std::vector<MPI_Request> requests) : requests_(std::move(requests)) {}
  Pending(Pending&& other) noexcept : requests_(std::exchange(other.requests_, {})) {}
  /// Waits for the messages of this handle, then takes over those of `other`.
  /// Throws CommunicationError if MPI reports a failure.
  Pending& operator=(Pending&& other) {
    wait();
    requests_ = std::exchange(other.requests_, {});
    return *this;
  }

  /// Waits for the messages and prints the error that `wait` would throw.
  /// During stack unwinding it cancels the messages and does not wait, since the partners may never answer.
  ~Pending() {
    try {
      if (std::uncaught_exceptions() > 0) cancel();
      else wait();
    } catch (CommunicationError const& error) {
      std::fputs(gshard::detail::concat("gshard: ", error.what(), "\n").c_str(), stderr);
    }
  }

  /// Waits for the messages. Throws CommunicationError if MPI reports a failure.
  void wait() {
    if (requests_.empty()) return;
    Kokkos::Profiling::ScopedRegion const region("gshard::permute");
    gshard::detail::wait_for_all(requests_);
  }

 private:
  void cancel() noexcept {
    for (MPI_Request& request : requests_) {
      gshard::detail::report_mpi(MPI_Cancel(&request), "MPI_Cancel");
      gshard::detail::report_mpi(MPI_Request_free(&request), "MPI_Request_free");
    }
  }

  std::vector<MPI_Request> requests_;
};

/// Starts sending `send_count` elements to rank `destination` of `group` and receiving `receive_count` elements from
/// rank `source`. Each of the two ranks can be `no_rank`; without a source, `receive` keeps its elements.
/// Preconditions: the (sender, receiver) pairs form a partial permutation of the ranks; both sides of a pair give the
/// same count; `send` is complete (fenced); every rank of `group` calls the function, also without a partner.
/// Communication: at most one message to another rank; bytes sent per rank: send_count * sizeof(T).
/// Throws CommunicationError if a count is negative, a partner is not a rank of the group, the counts of a message to
/// this rank itself differ, MPI fails, or checked ranks disagree.
/// Source: paper 3.3.1 (CollectivePermute).
template <class T>
[[nodiscard]] Pending start_permute(Group const& group, T const* send, std::int64_t send_count, int destination,
                                    T* receive, std::int64_t receive_count, int source,
                                    std::int64_t limit = largest_count,
                                    std::source_location site = std::source_location::current()) {
  detail::check_count("permute (sent)", group, send_count);
  detail::check_count("permute (received)", group, receive_count);
  for (int partner : {destination, source})
    if (partner < no_rank || partner >= group.size)
      throw CommunicationError(
          gshard::detail::concat("permute: partner ", partner, " is not a rank of a group of ", group.size));
  std::int64_t const to_self = destination == group.rank ? send_count : 0;
  std::int64_t const from_self = source == group.rank ? receive_count : 0;
  if (to_self != from_self)
    throw CommunicationError(gshard::detail::concat("permute: rank ", group.rank, " of the group sends itself ",
                                                    to_self, " elements but expects ", from_self));
  if (detail::is_checked(group)) {
    std::vector<std::int64_t> sent(static_cast<std::size_t>(group.size), 0);
    std::vector<std::int64_t> expected(sent.size(), 0);
    if (destination != no_rank) sent[static_cast<std::size_t>(destination)] = send_count;
    if (source != no_rank) expected[static_cast<std::size_t>(source)] = receive_count;
    detail::check_pairs(group, detail::concat("permute of ", detail::name_of_type<T>()), sent, expected, 0, site);
  }
  Kokkos::Profiling::ScopedRegion const region("gshard::permute");
  bool const sends = destination != no_rank && destination != group.rank && send_count > 0;
  if (detail::only_counted(group, Collective::permute, sends ? 1 : 0, sends ? detail::bytes_of<T>(send_count) : 0))
    return {};
  MPI_Comm const communicator = group.communicator();  // its creation is collective, also for members without a message
  std::int64_t const in_call = detail::elements_in_call<T>(limit);
  std::vector<MPI_Request> requests;
  if (source != no_rank)
    detail::in_pieces(receive_count, in_call, [&](std::int64_t done, int piece) {
      detail::require_mpi(MPI_Irecv(receive + done, piece, detail::type_of<T>(), source, detail::message_tag,
                                    communicator, &requests.emplace_back()),
                          "MPI_Irecv");
    });
  if (destination != no_rank)
    detail::in_pieces(send_count, in_call, [&](std::int64_t done, int piece) {
      detail::require_mpi(MPI_Isend(send + done, piece, detail::type_of<T>(), destination, detail::message_tag,
                                    communicator, &requests.emplace_back()),
                          "MPI_Isend");
    });
  return Pending(std::move(requests));
}

/// Sends and receives as start_permute does, and waits for both messages.
template <class T>
void permute(Group const& group, T const* send, std::int64_t send_count, int destination, T* receive,
             std::int64_t receive_count, int source, std::int64_t limit = largest_count,
             std::source_location site = std::source_location::current()) {
  start_permute(group, send, send_count, destination, receive, receive_count, source, limit, site).wait();
}

}  // namespace gshard::comm
