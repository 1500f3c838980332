// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/core/macros.hpp>

namespace gshard {

/// Half-open range [begin, end) of indices of one dimension.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  GSHARD_FUNCTION constexpr std::int64_t size() const { return end - begin; }
  friend constexpr bool operator==(Range const&, Range const&) = default;
};

/// Returns the common part of two ranges; an empty range if they are disjoint.
constexpr Range intersection(Range left, Range right) {
  std::int64_t const begin = std::max(left.begin, right.begin);
  return {begin, std::max(begin, std::min(left.end, right.end))};
}

/// Returns part `index` of `extent` indices that are cut into `parts` blocks of b = ceil(extent / parts):
/// [min(index b, extent), min((index + 1) b, extent)). The last blocks are shorter or empty.
/// gshard computes all block boundaries by this function.
/// Preconditions: extent >= 0, parts >= 1, 0 <= index < parts. No such values overflow.
/// Source: paper 3.3.3.
GSHARD_FUNCTION constexpr Range shard_range(std::int64_t extent, std::int64_t parts, std::int64_t index) {
  // Unsigned: (index + 1) b can exceed `extent` by up to parts - 1, and so the range of std::int64_t.
  auto const whole = static_cast<std::uint64_t>(extent);
  auto const count = static_cast<std::uint64_t>(parts);
  std::uint64_t const block = whole / count + (whole % count == 0 ? 0 : 1);
  std::uint64_t const begin = static_cast<std::uint64_t>(index) * block;
  std::uint64_t const end = begin + block;
  return {static_cast<std::int64_t>(begin < whole ? begin : whole),
          static_cast<std::int64_t>(end < whole ? end : whole)};
}

}  // namespace gshard
