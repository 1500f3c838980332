// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/tensor/shard_range.hpp>

namespace gshard::detail {

/// Divides runs of elements that lie next to each other among the work items of a host: some runs each, or a piece of a
/// long one.
struct RunItems {
  std::int64_t width;  ///< elements of a run, at least 1
  std::int64_t runs;
  std::int64_t pieces;  ///< of each run
  std::int64_t runs_per_item;

  static RunItems of(std::int64_t width, std::int64_t runs) {
    constexpr std::int64_t granule = 1 << 12;
    return {width, runs, (width + granule - 1) / granule, std::max<std::int64_t>(1, granule / width)};
  }

  std::int64_t count() const { return (runs + runs_per_item - 1) / runs_per_item * pieces; }

  /// Returns the runs of an item.
  Range runs_of(std::int64_t item) const {
    std::int64_t const first = item / pieces * runs_per_item;
    return {first, std::min(runs, first + runs_per_item)};
  }
  /// Returns the elements of these runs that the item has.
  Range elements_of(std::int64_t item) const { return shard_range(width, pieces, item % pieces); }
};

}  // namespace gshard::detail
