// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/cross_entropy.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/reduce/total.hpp>

namespace gshard::nn {

/// The mean over all real tokens of the label-smoothed cross entropy: logits (G, S, V) with V whole, targets (G, S), negative for padding. `tokens` is
/// their global number, the same on every rank: the mean does not depend on how tokens are spread. A scalar; one all-reduce of one number.
template <class X, AnyTensor Targets>
auto cross_entropy(X const& logits, Targets const& targets, double tokens, double smoothing = 0) {
  using Tensor = detail::ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static_assert(Tensor::layout.dimensions[Tensor::rank - 1].empty(), "gshard: cross_entropy works on a whole vocabulary; reshard the logits so that it is `_`");
  Tensor const& scores = detail::value_of(logits);
  using Rows = ShardedTensor<typename Tensor::mesh_type, typename Targets::spec_type, T, Space>;
  Rows const losses(uninitialized, scores.mesh(), targets.extents());
  Rows const log_sums(uninitialized, scores.mesh(), targets.extents());
  detail::record_kernel("cross_entropy", scores, targets, losses, log_sums);
  detail::cross_entropy<T, Space>(detail::rows_of(scores), detail::row_of(targets), detail::row_of(losses), detail::row_of(log_sums),
                                  static_cast<T>(smoothing));
  auto const loss = gshard::detail::scalar_like(losses, sum(losses) / tokens);
  return detail::recorded_beside(
      logits, loss, [slot = detail::slot_of(logits), scores, targets, log_sums, tokens, smoothing](auto const& gradient) {
        Tensor const of_logits = detail::unset_like(scores);
        detail::record_kernel("cross_entropy gradient", of_logits, scores, targets, log_sums);
        detail::cross_entropy_backward<T, Space>(detail::rows_of(scores), detail::row_of(targets), detail::row_of(log_sums), detail::rows_of(of_logits),
                                                 static_cast<T>(1 / tokens), static_cast<T>(smoothing),
                                                 detail::Rank0<T const, Space>(gradient.data()));
        slot.add(of_logits);
      });
}

}  // namespace gshard::nn
