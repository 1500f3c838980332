// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace gshard::nn {

/// How a capacity that is no whole number becomes one.
enum class CapacityRounding {
  up,              ///< to the next larger one: drops the fewest tokens
  down,            ///< to the next smaller one
  to_nearest_even  ///< to the nearest one, halves to the even one
};

/// C, the slots of each expert for each group of S tokens: factor * S / E, rounded, at least `minimum`, and then up to
/// a multiple of `multiple`. The default factor 2 is the paper's 2S/E (section 3.2, Algorithm 1: two choices for each
/// token and no slack). It depends on extents alone, so all ranks agree on it; it may exceed S, and E * C may exceed
/// 2S. Where 2S/E is no whole number the paper is silent, and public implementations differ. Up: S = 100, E = 16 gives
/// 13; S = 7, E = 3 gives 5.
inline std::int64_t expert_capacity(std::int64_t tokens_per_group, std::int64_t experts, double factor = 2.0,
                                    std::int64_t minimum = 1, CapacityRounding rounding = CapacityRounding::up,
                                    std::int64_t multiple = 1) {
  double const slots = factor * static_cast<double>(tokens_per_group) / static_cast<double>(experts);
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
  return (capacity + multiple - 1) / multiple * multiple;
}

}  // namespace gshard::nn
