// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <type_traits>

#include <gshard/nn/kernels/gate_z_loss.hpp>
#include <gshard/nn/moe/gate.hpp>

namespace gshard::nn {

/// The router z-loss (G) of logits (G, S, E): the mean of (log sum_e exp(logit_e))^2 over the tokens of each group,
/// those whose `mask` (G, S) is not 0; 0 for a group of padding alone (ST-MoE, arXiv 2202.08906). It keeps logits
/// small. Recorded beside the logits. Logits of padding are not read, and get a gradient of 0. Local. Throws
/// StateError, MeshError or ExtentError where the mask does not belong to the logits.
template <class X, AnyTensor Mask>
auto z_losses(X const& logits, Mask const& mask) {
  using Logits = detail::ValueTensor<X>;
  using T = typename Logits::value_type;
  using Space = typename Logits::memory_space;
  static_assert(std::floating_point<T>,
                "gshard: a gate computes in float or double; convert its logits, as in convert<float>(x)");
  static_assert(std::is_same_v<typename Mask::value_type, int>,
                "gshard: the mask of real tokens holds int, 1 for words and 0 for padding");
  static_assert(detail::check_by_group<Logits, Logits, 0, 2>() && detail::check_by_group<Mask, Logits, 0, 1>());
  Logits const& values = detail::value_of(logits);
  gshard::detail::require_one_mesh("z_losses", {{"logits", values}, {"mask", mask}});
  gshard::detail::require_extents("z_losses", {"mask", mask}, {values.extent(0), values.extent(1)},
                                  "one number for each token (G, S) of the logits");
  detail::ByGroup<Logits, T, 0, 1> const log_sums(uninitialized, values.mesh(), mask.extents());
  detail::ByGroup<Logits, int, 0, 0> const tokens(uninitialized, values.mesh(), {values.extent(0)});
  detail::ByGroup<Logits, T, 0, 0> const losses(uninitialized, values.mesh(), {values.extent(0)});
  detail::record_kernel("router z-loss", values, log_sums, losses);
  detail::gate_log_sums(values.local_extent(0) * values.local_extent(1),
                        detail::GateLogSums<T, Space>{values.local(), mask.local(), log_sums.local()});
  detail::gate_z_loss(values.local_extent(0),
                      detail::GateZLoss<T, Space>{mask.local(), log_sums.local(), tokens.local(), losses.local()});
  return detail::recorded_beside(
      logits, losses, [slot = detail::slot_of(logits), values, mask, log_sums, tokens](auto const& gradient) {
        Logits const of_logits = detail::empty_like(values);
        detail::record_kernel("router z-loss gradient", of_logits, values, log_sums);
        detail::gate_z_loss_backward(
            values.local_extent(0) * values.local_extent(1),
            detail::GateZLossBackward<T, Space>{values.local(), mask.local(), log_sums.local(), tokens.local(),
                                                gradient.local(), of_logits.local()});
        slot.add(of_logits);
      });
}

/// The router z-loss: the mean of z_losses over the groups that have tokens. A scalar; communicates as
/// mean_over_groups. Throws as z_losses and mean_over_groups do.
template <class X, AnyTensor Mask, AnyTensor Gates, AnyGate Gate>
auto z_loss(X const& logits, Mask const& mask, Routing<Gates, Gate> const& routing) {
  return mean_over_groups(z_losses(logits, mask), routing);
}

}  // namespace gshard::nn
