// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/nn/kernels/gate_z_loss.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::nn {

namespace detail {

/// Router z-losses of logits and a token mask, as an operation with a gradient. The residuals are the logarithms of the
/// sums (G, S) and the numbers of tokens (G).
struct ZLosses {
  template <int>
  static constexpr Reads reads = Reads::operand(0) | Reads::operand(1);

  template <AnyTensor Logits, AnyTensor Mask>
  auto forward(Logits const& logits, Mask const& mask) const {
    using T = typename Logits::value_type;
    using Space = typename Logits::memory_space;
    static_assert(std::floating_point<T>,
                  "gshard: a gate computes in float or double; convert its logits, as in cast<float>(x)");
    static_assert(std::is_same_v<typename Mask::value_type, int>,
                  "gshard: the mask of real tokens holds int, 1 for words and 0 for padding");
    static_assert(check_by_group<Logits, Logits, 0, 2>() && check_by_group<Mask, Logits, 0, 1>());
    gshard::detail::require_one_mesh("z_losses", {{"logits", logits}, {"mask", mask}});
    gshard::detail::require_extents("z_losses", {"mask", mask}, {logits.extent(0), logits.extent(1)},
                                    "one number for each token (G, S) of the logits");
    ByGroup<Logits, T, 0, 1> const log_sums(uninitialized, logits.mesh(), mask.extents());
    ByGroup<Logits, int, 0, 0> const tokens(uninitialized, logits.mesh(), {logits.extent(0)});
    ByGroup<Logits, T, 0, 0> const losses(uninitialized, logits.mesh(), {logits.extent(0)});
    record_kernel("router z-loss", logits, log_sums, losses);
    gate_log_sums(logits.local_extent(0) * logits.local_extent(1),
                  GateLogSums<T, Space>{logits.local(), mask.local(), log_sums.local()});
    gate_z_loss(logits.local_extent(0),
                GateZLoss<T, Space>{mask.local(), log_sums.local(), tokens.local(), losses.local()});
    return WithResiduals{losses, std::tuple{log_sums, tokens}};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [logits, mask] = saved.operands;
    auto const& [log_sums, tokens] = saved.residuals;
    auto const& dlogits = std::get<0>(gradients);
    using Logits = std::remove_cvref_t<decltype(logits)>;
    using Kernel = GateZLossBackward<typename Logits::value_type, typename Logits::memory_space>;
    Logits const logits_gradient = empty_like(logits);
    record_kernel("router z-loss gradient", logits_gradient, logits, log_sums);
    gate_z_loss_backward(logits.local_extent(0) * logits.local_extent(1),
                         Kernel{logits.local(), mask.local(), log_sums.local(), tokens.local(), gradient.local(),
                                logits_gradient.local()});
    dlogits.add(logits_gradient);
  }
};

}  // namespace detail

/// Returns the router z-losses (G) of logits (G, S, E): the mean of (log sum_e exp(logit_e))^2 over the tokens of each
/// group, where `mask` (G, S) is not 0; 0 for a group of padding alone (ST-MoE, arXiv 2202.08906). Keeps logits small.
/// Does not read logits of padding, whose gradient is 0. Local.
/// Throws StateError, MeshError or ExtentError if the mask does not belong to the logits.
template <TensorOperand X, TensorOperand Mask>
auto z_losses(X&& logits, Mask&& mask) {
  return Differentiable<detail::ZLosses>{}(std::forward<X>(logits), std::forward<Mask>(mask));
}

/// Returns the router z-loss, a scalar: the mean of z_losses over the groups that have tokens. Communicates as
/// mean_over_groups. Throws as z_losses and mean_over_groups.
template <TensorOperand X, TensorOperand Mask, AnyTensor Gates, AnyGate Gate>
auto z_loss(X&& logits, Mask&& mask, Routing<Gates, Gate> const& routing) {
  return mean_over_groups(z_losses(std::forward<X>(logits), std::forward<Mask>(mask)), routing);
}

}  // namespace gshard::nn
