// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/core/options.hpp>

namespace gshard::nn {

/// G groups of S tokens.
struct TokenGroups {
  std::int64_t groups;  ///< G
  std::int64_t size;    ///< S
};

/// The fewest groups of equal size that `parts` ranks can share evenly, of at most `largest` tokens each where the
/// division allows: G is the least multiple of `parts` that divides `tokens` and is at least tokens / largest, rounded
/// down. No tokens are `parts` empty groups.
/// Throws OptionError where `tokens` is negative, or `largest` or `parts` is below 1; ExtentError where `parts` does
/// not divide `tokens`.
inline TokenGroups token_groups(std::int64_t tokens, std::int64_t largest, std::int64_t parts) {
  gshard::detail::require_at_least("tokens", tokens, 0);
  gshard::detail::require_at_least("largest", largest, 1);
  gshard::detail::require_at_least("parts", parts, 1);
  if (tokens % parts != 0)
    throw ExtentError(gshard::detail::concat("token_groups: ", tokens, " tokens cannot be shared evenly by ", parts,
                                             " ranks; pad them to a multiple"));
  std::int64_t const of_part = tokens / parts;
  if (of_part == 0) return {parts, 0};
  // Groups of one part: the least divisor of its tokens that is at least `fewest`.
  std::int64_t const fewest = (std::max<std::int64_t>(1, tokens / largest) - 1) / parts + 1;
  std::int64_t groups = of_part;
  for (std::int64_t divisor = 1; divisor <= of_part / divisor; ++divisor) {
    if (of_part % divisor != 0) continue;
    for (std::int64_t candidate : {divisor, of_part / divisor})
      if (candidate >= fewest) groups = std::min(groups, candidate);
  }
  return {groups * parts, of_part / groups};
}

}  // namespace gshard::nn
