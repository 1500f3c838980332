// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

template <class T, class MemorySpace>
struct GateBackwardKernel {
  Rank3<T const, MemorySpace> gates;
  Rank3<int const, MemorySpace> expert;
  Rank3<int const, MemorySpace> slot;
  Rank2<int const, MemorySpace> first_choices;
  Rank3<T const, MemorySpace> weight_upstream;
  Rank1<T const, MemorySpace> loss_upstream;
  Rank3<T, MemorySpace> gradient;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const experts = extent(gates, 2);
    std::int64_t const group = token / extent(gates, 1);
    int const* const choice = expert.data() + 2 * token;
    int const* const place = slot.data() + 2 * token;
    T* const out = gradient.data() + token * experts;
    if (choice[0] < 0 || loss_upstream.data() == nullptr) {
      lanes.each(experts, [=](std::int64_t e) { out[e] = T(0); });
    } else {
      int const* const count = first_choices.data() + group * experts;
      auto const tokens = static_cast<T>(lanes.template sum<std::int64_t>(experts, [=](std::int64_t e) { return count[e]; }));
      T const factor = loss_upstream(group) / (static_cast<T>(experts) * tokens * tokens);
      lanes.each(experts, [=](std::int64_t e) { out[e] = factor * static_cast<T>(count[e]); });
    }
    lanes.barrier();
    if (choice[1] < 0) return;
    T const* const g = gates.data() + token * experts;
    T const* const upstream = weight_upstream.data() + 2 * token;
    T const first = place[0] < 0 ? T(0) : upstream[0];
    T const second = place[1] < 0 ? T(0) : upstream[1];
    T const sum = g[choice[0]] + g[choice[1]];
    T const slope = place[0] < 0 && place[1] < 0 ? T(0) : (first - second) / (sum * sum);
    lanes.once([&] {
      out[choice[0]] += slope * g[choice[1]];
      out[choice[1]] -= slope * g[choice[0]];
    });
  }
};

/// The gradient of top2_gate with respect to the gates (G, S, E), overwritten: of the weights, whose gradient is weight_upstream (G, S, 2),
/// read where a choice was kept alone; and of the balance loss, whose gradient is loss_upstream (G), or an empty view for none. Choices,
/// drops and counts are constants, so the loss pulls on the mean gates alone: c_e / (E S^2) for each real token. expert, slot and
/// first_choices are what top2_gate gave.
template <class T, class MemorySpace>
void top2_gate_backward(Rank3<T const, MemorySpace> gates, Rank3<int const, MemorySpace> expert, Rank3<int const, MemorySpace> slot,
                        Rank2<int const, MemorySpace> first_choices, Rank3<T const, MemorySpace> weight_upstream,
                        Rank1<T const, MemorySpace> loss_upstream, Rank3<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>(
      "gshard::gate_backward", extent(gates, 0) * extent(gates, 1),
      GateBackwardKernel<T, MemorySpace>{gates, expert, slot, first_choices, weight_upstream, loss_upstream, gradient});
}

}  // namespace gshard::nn::detail
