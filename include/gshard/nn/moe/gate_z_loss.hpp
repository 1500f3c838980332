// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/nn/kernels/gate_z_loss.hpp>
#include <gshard/nn/moe/gate.hpp>

namespace gshard::nn {

/// The router z-loss (G) of logits (G, S, E): the mean of (log sum_e exp(logit_e))^2 over the real tokens of each
/// group; 0 for a group of padding (ST-MoE, arXiv 2202.08906). It keeps logits small. Recorded beside the logits.
/// Local.
template <class X, AnyTensor Real>
auto z_losses(X const& logits, Real const& real) {
  using Logits = detail::ValueTensor<X>;
  using T = typename Logits::value_type;
  using Space = typename Logits::memory_space;
  Logits const& values = detail::value_of(logits);
  detail::ByGroup<Logits, T, 0, 1> const log_sums(uninitialized, values.mesh(), real.extents());
  detail::ByGroup<Logits, int, 0, 0> const tokens(uninitialized, values.mesh(), {values.extent(0)});
  detail::ByGroup<Logits, T, 0, 0> const losses(uninitialized, values.mesh(), {values.extent(0)});
  detail::record_kernel("router z-loss", values, log_sums, losses);
  detail::for_each_row<Space>("gshard::gate_log_sums", values.local_extent(0) * values.local_extent(1),
                              detail::GateLogSums<T, Space>{values.local(), real.local(), log_sums.local()});
  detail::for_each_row<Space>(
      "gshard::gate_z_loss", values.local_extent(0),
      detail::GateZLoss<T, Space>{real.local(), log_sums.local(), tokens.local(), losses.local()});
  return detail::recorded_beside(
      logits, losses, [slot = detail::slot_of(logits), values, real, log_sums, tokens](auto const& gradient) {
        Logits const of_logits = detail::unset_like(values);
        detail::record_kernel("router z-loss gradient", of_logits, values, log_sums);
        detail::for_each_row<Space>(
            "gshard::gate_z_loss_backward", values.local_extent(0) * values.local_extent(1),
            detail::GateZLossBackward<T, Space>{values.local(), real.local(), log_sums.local(), tokens.local(),
                                                gradient.local(), of_logits.local()});
        slot.add(of_logits);
      });
}

/// The router z-loss: the mean of z_losses over the groups that have tokens. A scalar; communicates as
/// mean_over_groups.
template <class X, AnyTensor Real, AnyTensor Gates, AnyGate Gate>
auto z_loss(X const& logits, Real const& real, Routing<Gates, Gate> const& routing) {
  return mean_over_groups(z_losses(logits, real), routing);
}

}  // namespace gshard::nn
