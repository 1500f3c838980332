// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
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

  ~Pending() {
    // While an exception unwinds this rank, its partners may never answer.
    if (std::uncaught_exceptions() == 0) wait();
  }

  void wait() {
    if (requests_.empty()) return;
    Kokkos::Profiling::ScopedRegion const region("gshard::permute");
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    requests_.clear();
  }

 private:
  std::vector<MPI_Request> requests_;
};

/// Starts to send `send_count` elements to rank `destination` of `group` and to receive `receive_count` from rank
/// `source`; either can be `nobody`. The pairs form a partial permutation: who sends to whom is agreed by all
/// (paper 2.1, CollectivePermute).
template <class T>
[[nodiscard]] Pending start_permute(Group const& group, T const* send, std::int64_t send_count, int destination,
                                    T* receive, std::int64_t receive_count, int source,
                                    std::int64_t limit = largest_count) {
  for (int partner : {destination, source})
    if (partner < nobody || partner >= group.size)
      throw CommunicationError(
          gshard::detail::text("permute: partner ", partner, " is not a rank of a group of ", group.size));
  if (group.is_checked) {
    std::vector<std::int64_t> sent(static_cast<std::size_t>(group.size), 0);
    std::vector<std::int64_t> expected(sent.size(), 0);
    if (destination != nobody) sent[static_cast<std::size_t>(destination)] = send_count;
    if (source != nobody) expected[static_cast<std::size_t>(source)] = receive_count;
    detail::check_pairs("permute", group, sent, expected);
  }
  Kokkos::Profiling::ScopedRegion const region("gshard::permute");
  bool const sends = destination != nobody && destination != group.rank && send_count > 0;
  if (detail::only_counted(group, Collective::permute, sends ? 1 : 0,
                           sends ? send_count * static_cast<std::int64_t>(sizeof(T)) : 0))
    return {};
  std::vector<MPI_Request> requests;
  if (source != nobody)
    detail::in_pieces(receive_count, limit, [&](std::int64_t done, int piece) {
      MPI_Irecv(receive + done, piece, detail::type_of<T>(), source, detail::message_tag, group.communicator,
                &requests.emplace_back());
    });
  if (destination != nobody)
    detail::in_pieces(send_count, limit, [&](std::int64_t done, int piece) {
      MPI_Isend(send + done, piece, detail::type_of<T>(), destination, detail::message_tag, group.communicator,
                &requests.emplace_back());
    });
  return Pending(std::move(requests));
}

/// The same, waited for.
template <class T>
void permute(Group const& group, T const* send, std::int64_t send_count, int destination, T* receive,
             std::int64_t receive_count, int source, std::int64_t limit = largest_count) {
  start_permute(group, send, send_count, destination, receive, receive_count, source, limit).wait();
}

}  // namespace gshard::comm
