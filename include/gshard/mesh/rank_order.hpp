// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <gshard/core/error.hpp>

namespace gshard {

/// Order of the ranks of a mesh: `ranks[i]` is the rank at the i-th coordinates in row-major order.
/// It decides which ranks are neighbours along an axis and which block a rank holds; mathematically, results do not
/// depend on it. `Grid grid(runtime, {2, 4}, RankOrder{0, 1, 5, 4, 2, 3, 7, 6})` makes each row of the mesh a ring of a
/// 2 x 4 network.
/// Source: the device assignment of the paper, 3.2 and A.3.
struct RankOrder {
  std::vector<int> ranks;

  RankOrder() = default;
  RankOrder(std::initializer_list<int> order) : ranks(order) {}
  explicit RankOrder(std::vector<int> order) : ranks(std::move(order)) {}

  /// Returns the even ranks ascending, then the odd ranks descending: 0, 2, 4, ..., 5, 3, 1.
  /// Neighbours of the ring, the last and the first included, differ by at most 2. Use it for a ring on an axis whose
  /// network has no link from its end to its start.
  /// Throws MeshError if `count` is negative.
  static RankOrder zigzag(int count) {
    if (count < 0) throw MeshError(detail::concat("RankOrder::zigzag: ", count, " ranks; give 0 or more"));
    RankOrder order;
    for (std::int64_t rank = 0; rank < count; rank += 2) order.ranks.push_back(static_cast<int>(rank));
    for (int rank = count - 1 - count % 2; rank > 0; rank -= 2) order.ranks.push_back(rank);
    return order;
  }

  /// Throws MeshError unless `ranks` is a permutation of [0, count). The message contains `mesh`.
  void check(std::string const& mesh, int count) const {
    if (std::ssize(ranks) != count)
      throw MeshError(
          detail::concat("mesh (", mesh, "): the rank order lists ", ranks.size(), " ranks, but the mesh has ", count));
    std::vector<bool> seen(ranks.size(), false);
    for (int rank : ranks) {
      if (rank < 0 || rank >= count)
        throw MeshError(
            detail::concat("mesh (", mesh, "): the rank order lists rank ", rank, "; the ranks are 0 to ", count - 1));
      if (seen[static_cast<std::size_t>(rank)])
        throw MeshError(detail::concat("mesh (", mesh, "): the rank order lists rank ", rank, " twice"));
      seen[static_cast<std::size_t>(rank)] = true;
    }
  }
};

}  // namespace gshard
