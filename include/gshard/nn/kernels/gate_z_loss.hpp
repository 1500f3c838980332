// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// One token's log(sum_e exp(logit_e)); 0 for padding, whose logits are not read.
template <class T, class MemorySpace>
struct GateLogSums {
  Rank3<T const, MemorySpace> logits;
  Rank2<int const, MemorySpace> real;
  Rank2<T, MemorySpace> log_sums;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const experts = extent(logits, 2);
    T const* const z = logits.data() + token * experts;
    T result = T(0);
    if (real.data()[token] != 0 && experts > 0) {
      T const largest = lanes.template max<T>(experts, [=](std::int64_t e) { return z[e]; });
      T const sum = lanes.template sum<T>(experts, [=](std::int64_t e) { return loop_exp(z[e] - largest); });
      result = largest + Kokkos::log(sum);
    }
    lanes.once([&] { log_sums.data()[token] = result; });
  }
};

/// One group's mean of log_sum^2 over its real tokens, and their number.
template <class T, class MemorySpace>
struct GateZLoss {
  Rank2<int const, MemorySpace> real;
  Rank2<T const, MemorySpace> log_sums;
  Rank1<int, MemorySpace> tokens;
  Rank1<T, MemorySpace> losses;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t group, Lanes const& lanes) const {
    std::int64_t const count = extent(real, 1);
    int const* const mask = real.data() + group * count;
    T const* const log_sum = log_sums.data() + group * count;
    std::int64_t const found =
        lanes.template sum<std::int64_t>(count, [=](std::int64_t s) { return mask[s] != 0 ? 1 : 0; });
    double const sum = lanes.template sum<double>(
        count, [=](std::int64_t s) { return static_cast<double>(log_sum[s]) * static_cast<double>(log_sum[s]); });
    lanes.once([&] {
      tokens(group) = static_cast<int>(found);
      losses(group) = static_cast<T>(found > 0 ? sum / static_cast<double>(found) : 0.0);
    });
  }
};

/// One token's gradient: 2 log_sum / tokens times its softmax; 0 for padding.
template <class T, class MemorySpace>
struct GateZLossBackward {
  Rank3<T const, MemorySpace> logits;
  Rank2<int const, MemorySpace> real;
  Rank2<T const, MemorySpace> log_sums;
  Rank1<int const, MemorySpace> tokens;
  Rank1<T const, MemorySpace> upstream;
  Rank3<T, MemorySpace> gradient;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const experts = extent(logits, 2);
    T const* const z = logits.data() + token * experts;
    T* const out = gradient.data() + token * experts;
    if (real.data()[token] == 0) {
      lanes.each(experts, [=](std::int64_t e) { out[e] = T(0); });
      return;
    }
    std::int64_t const group = token / extent(logits, 1);
    T const log_sum = log_sums.data()[token];
    T const factor = upstream(group) * T(2) * log_sum / static_cast<T>(tokens(group));
    lanes.each(experts, [=](std::int64_t e) { out[e] = factor * loop_exp(z[e] - log_sum); });
  }
};

}  // namespace gshard::nn::detail
