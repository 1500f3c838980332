// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <mpi.h>

#include <gshard/core/communication_check.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/mpi.hpp>
#include <gshard/mesh/mesh.hpp>

// Checks that all ranks of a group enter the same collective with matching arguments.
// Active on meshes that were made after Runtime::check_communication.
// Communication: before each collective, one message of fixed size from each rank of the group to every other one.
// A mismatch throws CommunicationError on every rank of the group.

namespace gshard::comm::detail {

using gshard::detail::CollectiveCall;
using gshard::detail::concat;
using gshard::detail::require_mpi;

/// Returns whether collectives of the group are checked. Precondition of the checks below.
inline bool is_checked(Group const& group) { return group.check != nullptr && group.size > 1; }

/// Gathers `numbers` from all members, in member order. Precondition: every member gives equally many.
inline std::vector<std::int64_t> gathered(Group const& group, std::vector<std::int64_t> const& numbers) {
  std::vector<std::int64_t> all(numbers.size() * static_cast<std::size_t>(group.size));
  int const count = static_cast<int>(numbers.size());
  require_mpi(MPI_Allgather(numbers.data(), count, MPI_INT64_T, all.data(), count, MPI_INT64_T, group.communicator()),
              "MPI_Allgather");
  return all;
}

/// Returns the calls of all members, in member order. Their counts may still differ.
/// Throws CommunicationError if two members differ in operation, element type or call site.
inline std::vector<CollectiveCall> same_operation(Group const& group, CollectiveCall const& own) {
  std::vector<CollectiveCall> const calls = group.check->meet(group.communicator(), own);
  for (std::size_t i = 1; i < calls.size(); ++i)
    if (!calls[i].is_like(calls[0]))
      throw CommunicationError(concat("check_communication: the ranks of a group of ", group.size,
                                      " enter different collectives: member 0 ", calls[0].text(), ", member ", i, " ",
                                      calls[i].text(),
                                      "; all of them have to call the same operations in the same order"));
  return calls;
}

/// Throws CommunicationError unless every member gives the same numbers. Gathers the numbers only if their fingerprints
/// differ.
inline void check_same(Group const& group, std::string_view operation, std::vector<std::int64_t> const& numbers,
                       std::source_location const& site) {
  CollectiveCall own(operation, gshard::detail::text_of(site), group.axes);
  for (std::int64_t number : numbers) own.counts = gshard::detail::fingerprint({number}, own.counts);
  std::vector<CollectiveCall> const calls = same_operation(group, own);
  bool differ = false;
  for (CollectiveCall const& call : calls) differ |= call.counts != calls[0].counts;
  if (!differ) return;
  std::vector<std::int64_t> const all = gathered(group, numbers);
  for (std::size_t i = numbers.size(); i < all.size(); ++i) {
    std::size_t const which = i % numbers.size();
    if (all[i] != all[which])
      throw CommunicationError(concat(own.text(), ": the members of a group of ", group.size, " disagree about number ",
                                      which, " of their ", numbers.size(), " counts: member 0 gives ", all[which],
                                      ", member ", i / numbers.size(), " ", all[i]));
  }
}

/// Throws CommunicationError unless sent[r] on member s equals expected[s] on member r for all (s, r), and all members
/// give the same `bound`.
inline void check_pairs(Group const& group, std::string_view operation, std::vector<std::int64_t> const& sent,
                        std::vector<std::int64_t> const& expected, std::int64_t bound,
                        std::source_location const& site) {
  CollectiveCall own(operation, gshard::detail::text_of(site), group.axes);
  own.counts = gshard::detail::fingerprint({bound});
  for (int peer = 0; peer < group.size; ++peer) {
    std::size_t const i = static_cast<std::size_t>(peer);
    own.sent += gshard::detail::fingerprint({group.rank, peer, sent[i]});
    own.expected += gshard::detail::fingerprint({peer, group.rank, expected[i]});
  }
  // sum of fingerprint(s, r, sent) over all members - sum of fingerprint(s, r, expected) = 0 if all pairs agree.
  std::uint64_t difference = 0;
  bool bounds_differ = false;
  std::vector<CollectiveCall> const calls = same_operation(group, own);
  for (CollectiveCall const& call : calls) {
    difference += call.sent - call.expected;
    bounds_differ |= call.counts != calls[0].counts;
  }
  if (difference == 0 && !bounds_differ) return;
  std::size_t const size = sent.size();
  std::vector<std::int64_t> const all_sent = gathered(group, sent);
  std::vector<std::int64_t> const all_expected = gathered(group, expected);
  for (std::size_t sender = 0; sender < size; ++sender)
    for (std::size_t receiver = 0; receiver < size; ++receiver) {
      std::int64_t const one = all_sent[sender * size + receiver];
      std::int64_t const other = all_expected[receiver * size + sender];
      if (one != other)
        throw CommunicationError(concat(own.text(), ": member ", sender, " of a group of ", size, " sends ", one,
                                        " elements to member ", receiver, ", which expects ", other));
    }
  std::vector<std::int64_t> const bounds = gathered(group, {bound});
  std::size_t other = 1;
  while (bounds[other] == bounds[0]) ++other;
  throw CommunicationError(concat(own.text(), ": the members of a group of ", size, " give different bounds: member 0 ",
                                  bounds[0], ", member ", other, " ", bounds[other]));
}

}  // namespace gshard::comm::detail
