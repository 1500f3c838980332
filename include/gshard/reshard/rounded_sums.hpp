// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/comm/all_gather.hpp>
#include <gshard/comm/all_to_all.hpp>
#include <gshard/core/bfloat16.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/tensor/shard_range.hpp>

// Reductions of elements that are stored in fewer bits than they are computed in (BFloat16).
// A reduction that rounds after each rank loses small summands. Here each rank receives the stored parts of its share,
// sums them in rank order in the wider type and rounds once.

namespace gshard::detail {

/// Sums part[r][i] over r for each of `count` elements i, and rounds once.
template <class T>
struct AddParts {
  T* sum;
  T const* parts;
  std::int64_t count;
  int ranks;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    Computed<T> total = parts[i];
    for (int rank = 1; rank < ranks; ++rank) total += static_cast<Computed<T>>(parts[rank * count + i]);
    sum[i] = static_cast<T>(total);
  }
};

/// Reduces and scatters as comm::reduce_scatter does.
/// Communication: all-to-all over `group`; each rank sends all parts of its buffer but its own.
template <class MemorySpace, class T>
void reduce_scatter_rounded(Group const& group, T const* send, T* receive, std::vector<std::int64_t> const& counts,
                            MemoryPool& memory, std::int64_t limit) {
  if (comm::detail::only_counted(group, Collective::reduce_scatter, group.size - 1,
                                 comm::detail::ring_bytes<T>(group, comm::detail::total(counts))))
    return;
  Scratch<MemorySpace> scratch(memory);
  std::int64_t const own = counts[static_cast<std::size_t>(group.rank)];
  std::int64_t bound = 0;
  for (std::int64_t count : counts) bound = std::max(bound, count * group.size);
  T* const parts = scratch.template get<T>(own * group.size);
  comm::all_to_all(comm::detail::uncounted(group), send, comm::Parts(counts), parts,
                   comm::Parts(std::vector<std::int64_t>(counts.size(), own)), bound, limit);
  launch<MemorySpace>("gshard::add_parts", own, AddParts<T>{receive, parts, own, group.size});
}

/// Reduces as comm::all_reduce does.
/// Communication: reduce-scatter, then all-gather over `group`; each rank sends about 2 (p - 1) / p of its buffer.
template <class MemorySpace, class T>
void all_reduce_rounded(Group const& group, T* data, std::int64_t count, MemoryPool& memory, std::int64_t limit) {
  Scratch<MemorySpace> scratch(memory);
  std::int64_t const own = shard_range(count, group.size, group.rank).size();
  T* const share = scratch.template get<T>(own);
  if (comm::detail::only_counted(group, Collective::all_reduce, 2 * (group.size - 1),
                                 comm::detail::ring_bytes<T>(group, 2 * count))) {
    scratch.template get<T>(own * group.size);  // the parts in reduce_scatter_rounded
    return;
  }
  std::vector<std::int64_t> counts;
  for (int rank = 0; rank < group.size; ++rank) counts.push_back(shard_range(count, group.size, rank).size());
  reduce_scatter_rounded<MemorySpace>(comm::detail::uncounted(group), data, share, counts, memory, limit);
  fence<MemorySpace>("gshard: local work before communication");
  comm::all_gather(comm::detail::uncounted(group), share, data, counts, limit);
}

}  // namespace gshard::detail
