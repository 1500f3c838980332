// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include <gshard/core/options.hpp>

namespace gshard::nn {

/// The most slots of an expert for a group, and the most choices of a group's tokens: kernels number them by int.
inline constexpr std::int64_t max_capacity = std::numeric_limits<int>::max();

/// How a capacity that is no whole number becomes one.
enum class CapacityRounding {
  up,              ///< to the next larger one: drops the fewest tokens
  down,            ///< to the next smaller one
  to_nearest_even  ///< to the nearest one, halves to the even one
};

namespace detail {

/// Throws OptionError, naming the option, unless the factor is 0 or more.
inline void require_capacity_factor(std::string_view option, double factor) {
  gshard::detail::require_option(factor >= 0, option, factor,
                                 "a number of 0 or more; with infinity nothing is dropped");
}

inline void require_capacity_bounds(std::int64_t minimum, std::int64_t multiple) {
  gshard::detail::require_at_least("minimum_capacity", minimum, 0);
  gshard::detail::require_at_least("capacity_multiple", multiple, 1);
}

/// expert_capacity, whose factor is the option of that name.
inline std::int64_t expert_capacity(std::string_view option, std::int64_t tokens_per_group, std::int64_t experts,
                                    double factor, std::int64_t minimum, CapacityRounding rounding,
                                    std::int64_t multiple) {
  require_capacity_factor(option, factor);
  require_capacity_bounds(minimum, multiple);
  gshard::detail::require_at_least("tokens_per_group", tokens_per_group, 0);
  gshard::detail::require_at_least("experts", experts, 1);
  double const slots = std::isinf(factor)
                           ? static_cast<double>(tokens_per_group)
                           : factor * static_cast<double>(tokens_per_group) / static_cast<double>(experts);
  gshard::detail::require_option(
      slots <= static_cast<double>(max_capacity), option, factor,
      "a number that gives an expert at most 2147483647 slots, or infinity: as many slots as tokens");
  // What lies this close to a whole number is meant to be it: 1.1 * 10 slots are 11, though in floating point they are
  // more.
  double const slack = 1e-12 * slots;
  double whole = std::floor(slots + slack);
  double const rest = slots - whole;
  if (rounding == CapacityRounding::up && rest > slack) whole += 1;
  if (rounding == CapacityRounding::to_nearest_even &&
      (rest > .5 + slack || (rest >= .5 - slack && std::fmod(whole, 2) == 1)))
    whole += 1;
  std::int64_t const capacity = std::max(static_cast<std::int64_t>(whole), minimum);
  gshard::detail::require_option(capacity <= max_capacity, "minimum_capacity", minimum, "2147483647 or less");
  std::int64_t const missing = (multiple - capacity % multiple) % multiple;
  gshard::detail::require_option(missing <= max_capacity - capacity, "capacity_multiple", multiple,
                                 "a smaller number: C, rounded up to a multiple of it, is at most 2147483647");
  return capacity + missing;
}

}  // namespace detail

/// C, the slots of each expert for each group of S tokens: capacity_factor * S / E, rounded, at least
/// `minimum_capacity`, and then up to a multiple of `capacity_multiple`. The default factor 2 is the paper's 2S/E
/// (section 3.2, Algorithm 1: two choices for each token and no slack). C depends on extents alone, so all ranks agree
/// on it; it may exceed S, and E * C may exceed 2S. An infinite factor gives C = S, with which no choice is dropped for
/// want of a slot. Where 2S/E is no whole number the paper is silent, and public implementations differ. Up: S = 100, E
/// = 16 gives 13; S = 7, E = 3 gives 5. Throws OptionError where an argument is negative or no number, E or the
/// multiple is 0, or C exceeds max_capacity.
inline std::int64_t expert_capacity(std::int64_t tokens_per_group, std::int64_t experts, double capacity_factor = 2.0,
                                    std::int64_t minimum_capacity = 1, CapacityRounding rounding = CapacityRounding::up,
                                    std::int64_t capacity_multiple = 1) {
  return detail::expert_capacity("capacity_factor", tokens_per_group, experts, capacity_factor, minimum_capacity,
                                 rounding, capacity_multiple);
}

}  // namespace gshard::nn
