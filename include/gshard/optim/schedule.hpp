// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include <gshard/core/options.hpp>

// Learning rates by step. Each checks its numbers where it is asked for a rate: OptionError names the member.

namespace gshard::optim {

namespace detail {

inline void check_schedule(double peak, std::int64_t warmup, std::int64_t step) {
  gshard::detail::require_non_negative("peak", peak);
  gshard::detail::require_at_least("warmup", warmup, 0);
  gshard::detail::require_at_least("step", step, 0);
}

inline void check_total(std::int64_t total, std::int64_t start, std::string_view name_of_start) {
  if (total <= start)
    throw OptionError(
        gshard::detail::concat("option total = ", total, ": give more than the ", start, " of ", name_of_start));
}

}  // namespace detail

/// A learning rate that grows linearly to `peak` over `warmup` steps and then falls linearly to 0 at step `total`,
/// which is more than `warmup`.
struct WarmupThenLinear {
  double peak;
  std::int64_t warmup;
  std::int64_t total;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    detail::check_schedule(peak, warmup, step);
    detail::check_total(total, warmup, "warmup");
    if (step < warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
    if (step >= total) return 0;
    return peak * static_cast<double>(total - step) / static_cast<double>(total - warmup);
  }
};

/// A learning rate that stays at `rate` up to step `offset` and then falls linearly to 0 at step `total`, which is more
/// than `offset`.
struct LinearDecay {
  double rate;
  std::int64_t total;
  std::int64_t offset = 0;

  /// The rate of step `step`.
  double operator()(std::int64_t step) const {
    gshard::detail::require_non_negative("rate", rate);
    gshard::detail::require_at_least("offset", offset, 0);
    gshard::detail::require_at_least("step", step, 0);
    detail::check_total(total, offset, "offset");
    if (step <= offset) return rate;
    if (step >= total) return 0;
    return rate * static_cast<double>(total - step) / static_cast<double>(total - offset);
  }
};

/// A learning rate that grows linearly to `peak` over `warmup` steps and then falls to `lowest` at step `total` along
/// half a wave of the cosine (Loshchilov and Hutter, arXiv 1608.03983, without restarts). `total` is more than
/// `warmup`.
struct WarmupThenCosine {
  double peak;
  std::int64_t warmup;
  std::int64_t total;
  double lowest = 0;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    detail::check_schedule(peak, warmup, step);
    detail::check_total(total, warmup, "warmup");
    gshard::detail::require_non_negative("lowest", lowest);
    if (step < warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
    if (step >= total) return lowest;
    double const share = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    return lowest + (peak - lowest) * (1 + std::cos(std::numbers::pi * share)) / 2;
  }
};

/// A learning rate of factor / sqrt(max(step, constant)): flat for `constant` steps, then falling with the square root
/// of the step. The defaults are the paper's (A.2), for Adafactor. Step 0 and a `constant` of 0 count as 1.
struct InverseSquareRoot {
  double factor = 1;
  std::int64_t constant = 10000;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    gshard::detail::require_non_negative("factor", factor);
    gshard::detail::require_at_least("constant", constant, 0);
    gshard::detail::require_at_least("step", step, 0);
    return factor / std::sqrt(static_cast<double>(std::max(step, std::max<std::int64_t>(constant, 1))));
  }
};

/// A learning rate that grows linearly to `peak` over `warmup` steps and then falls with the square root of the step
/// (Vaswani et al., arXiv 1706.03762, 5.3). A `warmup` of 0 counts as 1.
struct WarmupThenInverseSquareRoot {
  double peak;
  std::int64_t warmup;

  /// The rate of step `step`, the first being 1.
  double operator()(std::int64_t step) const {
    detail::check_schedule(peak, warmup, step);
    double const s = static_cast<double>(step);
    double const w = static_cast<double>(std::max<std::int64_t>(warmup, 1));
    return peak * std::min(s / w, std::sqrt(w / s));
  }
};

}  // namespace gshard::optim
