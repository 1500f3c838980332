// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/autodiff/map.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/nn/kernels/cross_entropy.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/reduce/total.hpp>

namespace gshard::nn {

namespace detail {

/// The layout of (G, S, N) beside targets (G, S), where the axes that split V hold parts of a sum.
constexpr Layout sums_beside(Layout const& targets, Layout const& logits) {
  Layout result = targets;
  result.dimensions.push_back({});
  result.partial = set_of(logits.dimensions.back());
  return result;
}

/// Losses and log_sums (G, S) of logits of which each rank holds some columns: all-reduces of one number and of three
/// for each row.
template <AnyTensor Scores, AnyTensor Targets, AnyTensor Rows>
void cross_entropy_of_split(Scores const& scores, Targets const& targets, Rows const& losses, Rows const& log_sums,
                            LossNumbers<typename Scores::value_type> const& numbers) {
  using T = typename Scores::value_type;
  using Space = typename Scores::memory_space;
  using Parts = with_layout<Scores, sums_beside(Targets::layout, Scores::layout)>;
  using Sums = with_layout<Scores, gshard::detail::without_partial(Parts::layout)>;
  Sums const summaries(uninitialized, scores.mesh(), {targets.extent(0), targets.extent(1), 4});
  record_kernel("cross_entropy", scores, targets, summaries);
  cross_entropy_summary<T, Space>(rows_of(scores), row_of(targets), rows_of(summaries), numbers.first);
  Rows const largest = unset_like(losses);
  largest_logits<T, Space>(rows_of(summaries), row_of(largest));
  gshard::detail::fence<Space>("gshard::cross_entropy: what is sent is computed");
  comm::all_reduce<Space>(scores.mesh().state().group(Parts::layout.partial), largest.data(), largest.local_size(),
                          comm::Reduction::maximum);
  Parts parts(uninitialized, scores.mesh(), {targets.extent(0), targets.extent(1), 3});
  rebase_summaries<T, Space>(rows_of(summaries), row_of(largest), rows_of(parts));
  auto const sums = reshard<typename Sums::spec_type>(std::move(parts));
  loss_of_summaries<T, Space>(row_of(largest), rows_of(sums), row_of(targets), row_of(losses), row_of(log_sums),
                              numbers);
}

}  // namespace detail

/// The mean over all real tokens of the label-smoothed cross entropy, and of `z_loss` times the square of the logarithm
/// of the sum of powers: logits (G, S, V), targets (G, S), negative for padding. `tokens` is their global number, the
/// same on every rank: the mean does not depend on how tokens are spread. A scalar; one all-reduce of one number.
/// Logits are never gathered: where axes split V, two all-reduces over them, of one number and of three for each token.
template <class X, AnyTensor Targets>
auto cross_entropy(X const& logits, Targets const& targets, double tokens, double smoothing = 0, double z_loss = 0) {
  using Tensor = detail::ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  constexpr int last = Tensor::rank - 1;
  static_assert(Tensor::layout.partial.empty(),
                "gshard: cross_entropy is not linear in the logits; reduce the partial tensor first");
  Tensor const& scores = detail::value_of(logits);
  using Rows = ShardedTensor<typename Tensor::mesh_type, typename Targets::spec_type, T, Space>;
  Rows const losses(uninitialized, scores.mesh(), targets.extents());
  Rows const log_sums(uninitialized, scores.mesh(), targets.extents());
  std::int64_t const first = scores.range(last).begin;
  std::int64_t const vocabulary = scores.extent(last);
  if constexpr (Tensor::layout.dimensions[last].empty()) {
    detail::record_kernel("cross_entropy", scores, targets, losses, log_sums);
    detail::cross_entropy<T, Space>(detail::rows_of(scores), detail::row_of(targets), detail::row_of(losses),
                                    detail::row_of(log_sums), static_cast<T>(smoothing), static_cast<T>(z_loss));
  } else {
    detail::cross_entropy_of_split(scores, targets, losses, log_sums,
                                   {static_cast<T>(smoothing), static_cast<T>(z_loss), first, vocabulary});
  }
  auto const loss = gshard::detail::scalar_like(losses, sum(losses) / tokens);
  return detail::recorded_beside(
      logits, loss,
      [slot = detail::slot_of(logits), scores, targets, log_sums, tokens, smoothing, z_loss, first,
       vocabulary](auto const& gradient) {
        Tensor const of_logits = detail::unset_like(scores);
        detail::record_kernel("cross_entropy gradient", of_logits, scores, targets, log_sums);
        detail::cross_entropy_backward<T, Space>(
            detail::rows_of(scores), detail::row_of(targets), detail::row_of(log_sums), detail::rows_of(of_logits),
            static_cast<T>(1 / tokens), static_cast<T>(smoothing), detail::Rank0<T const, Space>(gradient.data()),
            first, vocabulary, static_cast<T>(z_loss));
        slot.add(of_logits);
      });
}

/// The same of logits in BFloat16: they are read as floats, and the loss is one.
template <class X, AnyTensor Targets>
  requires(gshard::detail::is_rounded<typename detail::ValueTensor<X>::value_type>)
auto cross_entropy(X const& logits, Targets const& targets, double tokens, double smoothing = 0, double z_loss = 0) {
  using Number = gshard::detail::Computed<typename detail::ValueTensor<X>::value_type>;
  return cross_entropy(eval(convert<Number>(logits)), targets, tokens, smoothing, z_loss);
}

}  // namespace gshard::nn
