// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include <gshard/core/error.hpp>

namespace gshard::detail {

/// Throws OptionError about an option; see require_option.
[[noreturn, gnu::cold]] inline void refuse_option(std::string_view option, TextPart const& value,
                                                  std::string_view wanted) {
  throw OptionError(concatenated({"option ", option, " = ", value.words(), ": give ", wanted}));
}

/// Throws OptionError unless `allowed`; the message names the option, its value, and the allowed values `wanted`, as
/// "a number above 0".
/// Options are validated once, where an option struct or an argument enters the library.
template <class Value>
void require_option(bool allowed, std::string_view option, Value const& value, std::string_view wanted) {
  // `value` is printed in the failing case only: printing a double takes longer than recording an operation.
  if (!allowed) refuse_option(option, value, wanted);
}

/// Throws OptionError unless `value` is finite and > 0.
inline void require_positive(std::string_view option, double value) {
  require_option(std::isfinite(value) && value > 0, option, value, "a finite number above 0");
}

/// Throws OptionError unless `value` is finite and >= 0.
inline void require_non_negative(std::string_view option, double value) {
  require_option(std::isfinite(value) && value >= 0, option, value, "a finite number of 0 or more");
}

/// Throws OptionError unless `value` is in [0, 1).
inline void require_rate(std::string_view option, double value) {
  require_option(value >= 0 && value < 1, option, value, "a number of at least 0 and less than 1");
}

/// Returns `value`. Throws OptionError if it is less than `least`.
inline std::int64_t require_at_least(std::string_view option, std::int64_t value, std::int64_t least) {
  if (value < least) throw OptionError(concat("option ", option, " = ", value, ": give ", least, " or more"));
  return value;
}

}  // namespace gshard::detail
