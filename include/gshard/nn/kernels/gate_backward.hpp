// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/gate_balance.hpp>
#include <gshard/nn/kernels/routes.hpp>

namespace gshard::nn::detail {

/// The gradient that one token's weights pass to its gates, added.
template <class Gate, class T>
KOKKOS_FORCEINLINE_FUNCTION void add_weight_gradient(T const* gates, int const* expert, int const* slot,
                                                     T const* upstream, T* gradient) {
  T const sum = divisor_of_gates<Gate>(gates, expert, slot);
  if (sum == T(0)) return;
  T product = T(0);
  if constexpr (Gate::normalise != Normalise::never)
    for (int k = 0; k < Gate::choices; ++k)
      if (slot[k] >= 0) product += upstream[k] * (gates[expert[k]] / sum);
  for (int k = 0; k < Gate::choices; ++k) {
    if (slot[k] >= 0) gradient[expert[k]] += upstream[k] / sum;
    if (in_divisor<Gate>(expert[k], slot[k])) gradient[expert[k]] -= product / sum;
  }
}

/// One token's gradient of its weights, or of the balance loss: what is not wanted has an empty upstream.
template <class Gate, class T, class MemorySpace>
struct GateBackwardKernel {
  Rank3<T const, MemorySpace> gates;
  Routes<T, MemorySpace> routes;
  GateCounts<T, MemorySpace> counts;
  Rank3<T const, MemorySpace> weight_upstream;
  Rank1<T const, MemorySpace> loss_upstream;
  Rank3<T, MemorySpace> gradient;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const experts = extent(gates, 2);
    std::int64_t const group = token / extent(gates, 1);
    int const* const expert = routes.expert.data() + Gate::choices * token;
    T* const out = gradient.data() + token * experts;
    if (expert[0] < 0 || loss_upstream.data() == nullptr || Gate::balance_choices == BalanceChoices::nothing) {
      lanes.each(experts, [=](std::int64_t e) { out[e] = T(0); });
    } else {
      int const* const count = balance_counts<Gate>(counts).data() + group * experts;
      T const tokens = static_cast<T>(counts.tokens(group));
      T const factor = loss_upstream(group) / (static_cast<T>(experts * balance_divisor<Gate>) * tokens * tokens);
      lanes.each(experts, [=](std::int64_t e) { out[e] = factor * static_cast<T>(count[e]); });
    }
    if (weight_upstream.data() == nullptr) return;
    lanes.barrier();
    lanes.once([&] {
      add_weight_gradient<Gate>(gates.data() + token * experts, expert, routes.slot.data() + Gate::choices * token,
                                weight_upstream.data() + Gate::choices * token, out);
    });
  }
};

/// The gradient of a gate with respect to the gates (G, S, E), overwritten: of the weights, whose gradient is
/// weight_upstream (G, S, K), read where a choice was kept alone; and of the balance loss, whose gradient is
/// loss_upstream (G). Either may be empty. Choices, drops and counts are constants, so the loss pulls on the mean gates
/// alone: c_e / (E S^2) for each real token.
template <class Gate, class T, class MemorySpace>
void gate_backward(Rank3<T const, MemorySpace> gates, Routes<T, MemorySpace> const& routes,
                   GateCounts<T, MemorySpace> const& counts, Rank3<T const, MemorySpace> weight_upstream,
                   Rank1<T const, MemorySpace> loss_upstream, Rank3<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>(
      "gshard::gate_backward", extent(gates, 0) * extent(gates, 1),
      GateBackwardKernel<Gate, T, MemorySpace>{gates, routes, counts, weight_upstream, loss_upstream, gradient});
}

}  // namespace gshard::nn::detail
