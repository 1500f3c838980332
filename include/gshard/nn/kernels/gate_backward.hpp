// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/gate_balance.hpp>
#include <gshard/nn/kernels/routes.hpp>

namespace gshard::nn::detail {

/// Adds the gradient that one token's weights pass to its gates.
template <class Gate, class T>
KOKKOS_FORCEINLINE_FUNCTION void add_weight_gradient(TokenChoices<Gate, T> const& choices, T const* upstream,
                                                     T* gradient) {
  T const sum = choices.divisor();
  if (sum == T(0)) return;
  T product = T(0);
  if constexpr (Gate::normalise != Normalise::never)
    for (int k = 0; k < Gate::choices; ++k)
      if (choices.is_kept(k)) product += upstream[k] * (choices.gates[choices.expert[k]] / sum);
  for (int k = 0; k < Gate::choices; ++k) {
    if (choices.is_kept(k)) gradient[choices.expert[k]] += upstream[k] / sum;
    if (choices.is_in_divisor(k)) gradient[choices.expert[k]] -= product / sum;
  }
}

/// One token's gradient of its weights, or of the balance loss: what is not wanted has an empty upstream. Zeros for
/// padding, whose gates and upstream are not read.
template <class Gate, class T, class MemorySpace>
struct GateBackwardKernel {
  Rank3<T const, MemorySpace> gates;
  Rank2<int const, MemorySpace> mask;
  Routes<T, MemorySpace> routes;
  GateCounts<T, MemorySpace> counts;
  Rank3<T const, MemorySpace> weight_upstream;
  Rank1<T const, MemorySpace> loss_upstream;
  Rank3<T, MemorySpace> gradient;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const experts = extent(gates, 2);
    std::int64_t const group = token / extent(gates, 1);
    bool const is_token = mask.data() == nullptr || mask.data()[token] != 0;
    T* const out = gradient.data() + token * experts;
    if (!is_token || loss_upstream.data() == nullptr || Gate::balance_choices == BalanceChoices::nothing) {
      lanes.each(experts, [=](std::int64_t e) { out[e] = T(0); });
    } else {
      int const* const count = balance_counts<Gate>(counts).data() + group * experts;
      T const tokens = static_cast<T>(counts.tokens(group));
      T const factor =
          loss_upstream(group) / (static_cast<T>(experts * balance_divisor<Gate>(experts)) * tokens * tokens);
      lanes.each(experts, [=](std::int64_t e) { out[e] = factor * static_cast<T>(count[e]); });
    }
    if (!is_token || weight_upstream.data() == nullptr) return;
    lanes.barrier();
    lanes.once([&] {
      add_weight_gradient<Gate, T>({gates.data() + token * experts, routes.expert.data() + Gate::choices * token,
                                    routes.slot.data() + Gate::choices * token, experts},
                                   weight_upstream.data() + Gate::choices * token, out);
    });
  }
};

/// The gradient of a gate with respect to the gates (G, S, E), overwritten: of the weights, whose gradient is
/// weight_upstream (G, S, K), read where a choice was kept alone; and of the balance loss, whose gradient is
/// loss_upstream (G). Either may be empty. Choices, drops and counts are constants, so the loss pulls on the mean gates
/// alone: c_e / (E S^2) for each token. `mask` (G, S) is that of run_gate; padding gets zeros.
template <class Gate, class T, class MemorySpace>
void gate_backward(Rank3<T const, MemorySpace> gates, Rank2<int const, MemorySpace> mask,
                   Routes<T, MemorySpace> const& routes, GateCounts<T, MemorySpace> const& counts,
                   Rank3<T const, MemorySpace> weight_upstream, Rank1<T const, MemorySpace> loss_upstream,
                   Rank3<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>(
      "gshard::gate_backward", extent(gates, 0) * extent(gates, 1),
      GateBackwardKernel<Gate, T, MemorySpace>{gates, mask, routes, counts, weight_upstream, loss_upstream, gradient});
}

}  // namespace gshard::nn::detail
