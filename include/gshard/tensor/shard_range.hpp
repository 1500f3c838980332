// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/core/macros.hpp>

namespace gshard {

/// The indices [begin, end) of one dimension.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  GSHARD_FUNCTION constexpr std::int64_t size() const { return end - begin; }
  friend constexpr bool operator==(Range const&, Range const&) = default;
};

/// The common part of two ranges; empty where there is none.
constexpr Range intersection(Range left, Range right) {
  std::int64_t const begin = std::max(left.begin, right.begin);
  return {begin, std::max(begin, std::min(left.end, right.end))};
}

/// Part `index` of `extent` indices cut into `parts`: blocks of ceil(extent / parts), the last ones shorter or empty
/// (paper 3.3.3). The only source of block boundaries in gshard. Preconditions: extent >= 0, parts >= 1 and 0 <= index
/// < parts; no such numbers overflow.
GSHARD_FUNCTION constexpr Range shard_range(std::int64_t extent, std::int64_t parts, std::int64_t index) {
  // Unsigned, since a block may end behind the extent by almost as many indices as there are parts.
  auto const whole = static_cast<std::uint64_t>(extent);
  auto const count = static_cast<std::uint64_t>(parts);
  std::uint64_t const block = whole / count + (whole % count == 0 ? 0 : 1);
  std::uint64_t const begin = static_cast<std::uint64_t>(index) * block;
  std::uint64_t const end = begin + block;
  return {static_cast<std::int64_t>(begin < whole ? begin : whole),
          static_cast<std::int64_t>(end < whole ? end : whole)};
}

}  // namespace gshard
