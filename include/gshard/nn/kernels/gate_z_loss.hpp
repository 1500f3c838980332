// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// One token's log(sum_e exp(logit_e)), -inf where all logits are; 0 for padding, whose logits are not read.
template <class T, class MemorySpace>
struct GateLogSums {
  Rank3<T const, MemorySpace> logits;
  Rank2<int const, MemorySpace> mask;
  Rank2<T, MemorySpace> log_sums;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const experts = extent(logits, 2);
    T const* const z = logits.data() + token * experts;
    T result = T(0);
    if (mask.data()[token] != 0 && experts > 0) {
      T const largest = lanes.template max<T>(experts, [=](std::int64_t e) { return z[e]; });
      // An infinite maximum less itself is NaN: the logarithm is then that maximum, or NaN beside a NaN.
      T const shift = Kokkos::isinf(largest) ? T(0) : largest;
      T const sum = lanes.template sum<T>(experts, [=](std::int64_t e) { return loop_exp(z[e] - shift); });
      result = shift + Kokkos::log(sum);
    }
    lanes.once([&] { log_sums.data()[token] = result; });
  }
};

/// One group's mean of log_sum^2 over its tokens, padding left out, and their number.
template <class T, class MemorySpace>
struct GateZLoss {
  Rank2<int const, MemorySpace> mask;
  Rank2<T const, MemorySpace> log_sums;
  Rank1<int, MemorySpace> tokens;
  Rank1<T, MemorySpace> losses;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t group, Lanes const& lanes) const {
    std::int64_t const count = extent(mask, 1);
    int const* const tokens_of_group = mask.data() + group * count;
    T const* const log_sum = log_sums.data() + group * count;
    std::int64_t const found =
        lanes.template sum<std::int64_t>(count, [=](std::int64_t s) { return tokens_of_group[s] != 0 ? 1 : 0; });
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
  Rank2<int const, MemorySpace> mask;
  Rank2<T const, MemorySpace> log_sums;
  Rank1<int const, MemorySpace> tokens;
  Rank1<T const, MemorySpace> upstream;
  Rank3<T, MemorySpace> gradient;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const experts = extent(logits, 2);
    T const* const z = logits.data() + token * experts;
    T* const out = gradient.data() + token * experts;
    if (mask.data()[token] == 0) {
      lanes.each(experts, [=](std::int64_t e) { out[e] = T(0); });
      return;
    }
    std::int64_t const group = token / extent(logits, 1);
    T const log_sum = log_sums.data()[token];
    T const factor = upstream(group) * T(2) * log_sum / static_cast<T>(tokens(group));
    lanes.each(experts, [=](std::int64_t e) { out[e] = factor * loop_exp(z[e] - log_sum); });
  }
};

template <class MemorySpace, class T>
void gate_log_sums(std::int64_t tokens, GateLogSums<T, MemorySpace> const& kernel) {
  for_each_row<MemorySpace>("gshard::gate_log_sums", tokens, kernel);
}
GSHARD_COMPILED_WIDE(gate_log_sums)

template <class MemorySpace, class T>
void gate_z_loss(std::int64_t groups, GateZLoss<T, MemorySpace> const& kernel) {
  for_each_row<MemorySpace>("gshard::gate_z_loss", groups, kernel);
}
GSHARD_COMPILED_WIDE(gate_z_loss)

template <class MemorySpace, class T>
void gate_z_loss_backward(std::int64_t tokens, GateZLossBackward<T, MemorySpace> const& kernel) {
  for_each_row<MemorySpace>("gshard::gate_z_loss_backward", tokens, kernel);
}
GSHARD_COMPILED_WIDE(gate_z_loss_backward)

}  // namespace gshard::nn::detail
