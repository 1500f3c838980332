// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <mpi.h>

#include <gshard/core/error.hpp>
#include <gshard/mesh/mesh.hpp>

// Whether the ranks of a group mean the same by a collective: checked, by a small collective before it, on meshes of a
// runtime that was told so (Runtime::check_communication). What does not agree throws on every rank of the group alike.

namespace gshard::comm::detail {

/// Every rank gives the same numbers.
inline void check_same(char const* operation, Group const& group, std::vector<std::int64_t> const& numbers) {
  if (!group.is_checked || group.size == 1) return;
  std::vector<std::int64_t> bounds;
  for (std::int64_t number : numbers) {
    bounds.push_back(number);
    bounds.push_back(-number);
  }
  MPI_Allreduce(MPI_IN_PLACE, bounds.data(), static_cast<int>(bounds.size()), MPI_INT64_T, MPI_MIN, group.communicator);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (bounds[2 * i] != -bounds[2 * i + 1])
      throw CommunicationError(gshard::detail::text(
          operation, ": the ranks of a group of ", group.size, " disagree about number ", i, " of their ",
          numbers.size(), " counts: the smallest is ", bounds[2 * i], ", the largest ", -bounds[2 * i + 1]));
}

/// What each rank sends to another is what that one expects.
inline void check_pairs(char const* operation, Group const& group, std::vector<std::int64_t> const& sent,
                        std::vector<std::int64_t> const& expected) {
  if (!group.is_checked || group.size == 1) return;
  std::vector<std::int64_t> coming(expected.size());
  MPI_Alltoall(sent.data(), 1, MPI_INT64_T, coming.data(), 1, MPI_INT64_T, group.communicator);
  std::int64_t first = INT64_MAX;
  for (std::size_t sender = expected.size(); sender-- > 0;)
    if (coming[sender] != expected[sender]) first = static_cast<std::int64_t>(sender) * group.size + group.rank;
  MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, group.communicator);
  if (first == INT64_MAX) return;
  std::int64_t const sender = first / group.size;
  int const receiver = static_cast<int>(first % group.size);
  std::int64_t counts[2] = {coming[static_cast<std::size_t>(sender)], expected[static_cast<std::size_t>(sender)]};
  MPI_Bcast(counts, 2, MPI_INT64_T, receiver, group.communicator);
  throw CommunicationError(gshard::detail::text(operation, ": member ", sender, " of a group of ", group.size,
                                                " sends ", counts[0], " elements to member ", receiver,
                                                ", which expects ", counts[1]));
}

}  // namespace gshard::comm::detail
