// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include <gshard/core/error.hpp>

// Arithmetic with numbers that users choose: sizes, counts, bytes.

namespace gshard::detail {

/// The sum, or the largest integer where that is exceeded: for counters, which measure and decide nothing.
constexpr std::int64_t saturated_sum(std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  if (!__builtin_add_overflow(left, right, &result)) return result;
  return left > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

/// The product of numbers of at least 0, or the largest integer where that is exceeded.
constexpr std::int64_t saturated_product(std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  return __builtin_mul_overflow(left, right, &result) ? std::numeric_limits<std::int64_t>::max() : result;
}

/// The sum. Throws `Exception` where it exceeds 64 bits; `what` names what is added up.
template <class Exception>
std::int64_t checked_sum(std::int64_t left, std::int64_t right, std::string_view what) {
  std::int64_t result = 0;
  if (__builtin_add_overflow(left, right, &result))
    throw Exception(concat(what, ": the sum of ", left, " and ", right, " exceeds 64 bits"));
  return result;
}

/// The product, as checked_sum.
template <class Exception>
std::int64_t checked_product(std::int64_t left, std::int64_t right, std::string_view what) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(left, right, &result))
    throw Exception(concat(what, ": the product of ", left, " and ", right, " exceeds 64 bits"));
  return result;
}

}  // namespace gshard::detail
