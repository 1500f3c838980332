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

/// Which rank stands where in a mesh: entry i is the rank at the coordinates that are number i in row-major order (the
/// paper's device assignment, 3.2 and A.3). It decides which ranks are neighbours along an axis, so how fast messages
/// are, and nothing else: `Grid grid(runtime, {2, 4}, RankOrder{0, 1, 5, 4, 2, 3, 7, 6})` makes each row a ring of a 2
/// x 4 network.
struct RankOrder {
  std::vector<int> ranks;

  RankOrder() = default;
  RankOrder(std::initializer_list<int> order) : ranks(order) {}
  explicit RankOrder(std::vector<int> order) : ranks(std::move(order)) {}

  /// For an axis without a link from its end to its start: up along the even ranks and down along the odd ones, so that
  /// neighbours, the last and the first among them, are two apart at most.
  /// Throws MeshError where `count` is negative.
  static RankOrder zigzag(int count) {
    if (count < 0) throw MeshError(detail::concat("RankOrder::zigzag: ", count, " ranks; give 0 or more"));
    RankOrder order;
    for (std::int64_t rank = 0; rank < count; rank += 2) order.ranks.push_back(static_cast<int>(rank));
    for (int rank = count - 1 - count % 2; rank > 0; rank -= 2) order.ranks.push_back(rank);
    return order;
  }

  /// Throws MeshError where this is no order of the ranks 0 to `count` - 1; `mesh` names the mesh in the message.
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
