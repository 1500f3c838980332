// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

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

/// A learning rate that stays at `rate` up to step `offset` and then falls linearly to 0 at step `total`.
struct LinearDecay {
  double rate;
  std::int64_t total;
  std::int64_t offset = 0;

  /// The rate of step `step`.
  double operator()(std::int64_t step) const {
    if (step <= offset) return rate;
    if (step >= total) return 0;
    return rate * static_cast<double>(total - step) / static_cast<double>(total - offset);
  }
};

/// A learning rate that grows linearly to `peak` over `warmup` steps and then falls to `lowest` at step `total` along
/// half a wave of the cosine (Loshchilov and Hutter, arXiv 1608.03983, without restarts).
struct WarmupThenCosine {
  double peak;
  std::int64_t warmup;
  std::int64_t total;
  double lowest = 0;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    if (step < warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
    if (step >= total) return lowest;
    double const share = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    return lowest + (peak - lowest) * (1 + std::cos(std::numbers::pi * share)) / 2;
  }
};

/// A learning rate of factor / sqrt(max(step, constant)): flat for `constant` steps, then falling with the square root
/// of the step. The defaults are the paper's (A.2), for Adafactor.
struct InverseSquareRoot {
  double factor = 1;
  std::int64_t constant = 10000;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    return factor / std::sqrt(static_cast<double>(std::max(step, std::max<std::int64_t>(constant, 1))));
  }
};

/// A learning rate that grows linearly to `peak` over `warmup` steps and then falls with the square root of the step
/// (Vaswani et al., arXiv 1706.03762, 5.3).
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
