// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <gshard/core/options.hpp>

namespace gshard::nn::detail {

/// Returns the size of a head: `head_size`, or model / heads. Throws OptionError unless all are 1 or more, and the
/// heads divide the model where their size is not given.
inline std::int64_t head_size_of(std::int64_t model, std::int64_t heads, std::optional<std::int64_t> head_size) {
  using gshard::detail::require_at_least, gshard::detail::require_option, gshard::detail::concat;
  require_at_least("model", model, 1);
  require_at_least("heads", heads, 1);
  if (head_size) return require_at_least("head_size", *head_size, 1);
  require_option(model % heads == 0, "heads", heads,
                 concat("a divisor of the model's ", model, ", or a head_size beside it"));
  return model / heads;
}

}  // namespace gshard::nn::detail
