// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

/// No partner: nothing is sent, or nothing received.
inline constexpr int nobody = -1;

/// Messages under way. Their buffers are left alone until `wait` has returned, or this object is gone.
class Pending {
 public:
  Pending() = default;
  explicit Pending(std::vector<MPI_Request> requests) : requests_(std::move(requests)) {}
  Pending(Pending&& other) noexcept : requests_(std::exchange(other.requests_, {})) {}
  Pending& operator=(Pending&& other) {
    wait();
    requests_ = std::exchange(other.requests_, {});
    return *this;
  }

  /// Waits for the messages, and prints what `wait` would throw. During stack unwinding the partners may never answer:
  /// the destructor does not wait then, and cancels the messages that have not begun to arrive.
  ~Pending() {
    try {
      if (std::uncaught_exceptions() > 0) cancel();
      else wait();
    } catch (CommunicationError const& error) {
      std::fputs(gshard::detail::concat("gshard: ", error.what(), "\n").c_str(), stderr);
    }
  }

  /// Waits for the messages. Throws CommunicationError where MPI reports a failure.
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

/// Starts to send `send_count` elements to rank `destination` of `group` and to receive `receive_count` from rank
/// `source`; either can be `nobody`. The pairs form a partial permutation: who sends to whom is agreed by all
/// (paper 2.1, CollectivePermute).
template <class T>
[[nodiscard]] Pending start_permute(Group const& group, T const* send, std::int64_t send_count, int destination,
                                    T* receive, std::int64_t receive_count, int source,
                                    std::int64_t limit = largest_count,
                                    std::source_location site = std::source_location::current()) {
  detail::check_count("permute (sent)", group, send_count);
  detail::check_count("permute (received)", group, receive_count);
  for (int partner : {destination, source})
    if (partner < nobody || partner >= group.size)
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
    if (destination != nobody) sent[static_cast<std::size_t>(destination)] = send_count;
    if (source != nobody) expected[static_cast<std::size_t>(source)] = receive_count;
    detail::check_pairs(group, detail::concat("permute of ", detail::name_of_type<T>()), sent, expected, 0, site);
  }
  Kokkos::Profiling::ScopedRegion const region("gshard::permute");
  bool const sends = destination != nobody && destination != group.rank && send_count > 0;
  if (detail::only_counted(group, Collective::permute, sends ? 1 : 0, sends ? detail::bytes_of<T>(send_count) : 0))
    return {};
  MPI_Comm const communicator = group.communicator();  // of all members, also where this one has no message
  std::int64_t const in_call = detail::elements_in_call<T>(limit);
  std::vector<MPI_Request> requests;
  if (source != nobody)
    detail::in_pieces(receive_count, in_call, [&](std::int64_t done, int piece) {
      detail::require_mpi(MPI_Irecv(receive + done, piece, detail::type_of<T>(), source, detail::message_tag,
                                    communicator, &requests.emplace_back()),
                          "MPI_Irecv");
    });
  if (destination != nobody)
    detail::in_pieces(send_count, in_call, [&](std::int64_t done, int piece) {
      detail::require_mpi(MPI_Isend(send + done, piece, detail::type_of<T>(), destination, detail::message_tag,
                                    communicator, &requests.emplace_back()),
                          "MPI_Isend");
    });
  return Pending(std::move(requests));
}

/// The same, waited for.
template <class T>
void permute(Group const& group, T const* send, std::int64_t send_count, int destination, T* receive,
             std::int64_t receive_count, int source, std::int64_t limit = largest_count,
             std::source_location site = std::source_location::current()) {
  start_permute(group, send, send_count, destination, receive, receive_count, source, limit, site).wait();
}

}  // namespace gshard::comm
