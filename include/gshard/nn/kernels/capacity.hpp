// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

namespace gshard::nn {

/// C, the slots of each expert for each group of S tokens: ceil(factor * S / E), at least `minimum`. The default factor 2 is the paper's
/// 2S/E (section 3.2, Algorithm 1: two choices for each token and no slack). It depends on extents alone, so all ranks agree on it.
/// Where 2S/E is no whole number the paper is silent, and public implementations differ (some round down, or to a multiple of four);
/// rounding up drops the fewest tokens. S = 100, E = 16 gives 13; S = 7, E = 3 gives 5.
inline std::int64_t expert_capacity(std::int64_t tokens_per_group, std::int64_t experts, double factor = 2.0, std::int64_t minimum = 1) {
  // The product is taken down a little first: 1.1 * 10 slots are 11, though in floating point they are more.
  double const slots = factor * static_cast<double>(tokens_per_group) / static_cast<double>(experts);
  auto const capacity = static_cast<std::int64_t>(std::ceil(slots * (1.0 - 1e-12)));
  return capacity > minimum ? capacity : minimum;
}

}  // namespace gshard::nn
