// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include <gshard/core/error.hpp>

// Overflow-safe arithmetic for numbers that users choose: sizes, counts, bytes.

namespace gshard::detail {

/// Returns left + right, clamped to the range of std::int64_t.
/// For counters, whose values decide nothing; sizes use checked_sum.
constexpr std::int64_t saturated_sum(std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  if (!__builtin_add_overflow(left, right, &result)) return result;
  return left > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

/// Returns the sum of all arguments, clamped likewise after each of them.
template <class... Rest>
constexpr std::int64_t saturated_sum(std::int64_t first, std::int64_t second, std::int64_t third, Rest... rest) {
  return saturated_sum(saturated_sum(first, second), third, rest...);
}

/// Returns min(left * right, 2^63 - 1).
/// Precondition: left, right >= 0.
constexpr std::int64_t saturated_product(std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  return __builtin_mul_overflow(left, right, &result) ? std::numeric_limits<std::int64_t>::max() : result;
}

/// Returns left + right. Throws `Exception` if it exceeds 64 bits; the message begins with `what`.
template <class Exception>
std::int64_t checked_sum(std::int64_t left, std::int64_t right, std::string_view what) {
  std::int64_t result = 0;
  if (__builtin_add_overflow(left, right, &result))
    throw Exception(concat(what, ": the sum of ", left, " and ", right, " exceeds 64 bits"));
  return result;
}

/// Returns left * right. Throws `Exception` if it exceeds 64 bits; the message begins with `what`.
template <class Exception>
std::int64_t checked_product(std::int64_t left, std::int64_t right, std::string_view what) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(left, right, &result))
    throw Exception(concat(what, ": the product of ", left, " and ", right, " exceeds 64 bits"));
  return result;
}

}  // namespace gshard::detail
