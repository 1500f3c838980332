// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include <gshard/core/error.hpp>

namespace gshard::nn {

/// G groups of S tokens.
struct TokenGroups {
  std::int64_t groups;  ///< G
  std::int64_t size;    ///< S
};

/// The fewest groups of equal size that `parts` ranks can share evenly, of at most `largest` tokens each where the
/// division allows: G is the least multiple of `parts` that divides `tokens` and is at least tokens / largest, rounded
/// down. Throws Error where `parts` does not divide `tokens`.
inline TokenGroups token_groups(std::int64_t tokens, std::int64_t largest, std::int64_t parts) {
  if (tokens % parts != 0)
    throw Error("token_groups: " + std::to_string(tokens) + " tokens cannot be shared evenly by " +
                std::to_string(parts) + " ranks; pad them to a multiple");
  std::int64_t const fewest = std::max<std::int64_t>(1, tokens / largest);
  std::int64_t groups = (fewest + parts - 1) / parts * parts;
  while (groups < tokens && tokens % groups != 0) groups += parts;
  return {groups, tokens / groups};
}

}  // namespace gshard::nn
