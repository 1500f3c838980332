// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace gshard::optim {

/// A learning rate that grows linearly to `peak` over `warmup` steps and then falls linearly to 0 at step `total`.
struct WarmupThenLinear {
  double peak;
  std::int64_t warmup;
  std::int64_t total;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    if (step < warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
    if (step >= total) return 0;
    return peak * static_cast<double>(total - step) / static_cast<double>(total - warmup);
  }
};

/// A learning rate that grows linearly to `peak` over `warmup` steps and then falls with the square root of the step (paper A.2).
struct WarmupThenInverseSquareRoot {
  double peak;
  std::int64_t warmup;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    double const s = static_cast<double>(step);
    double const w = static_cast<double>(std::max<std::int64_t>(warmup, 1));
    return peak * std::min(s / w, std::sqrt(w / s));
  }
};

}  // namespace gshard::optim
