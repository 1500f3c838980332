// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <gshard/autodiff/map.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/core/options.hpp>
#include <gshard/index/check_ids.hpp>
#include <gshard/nn/kernels/cross_entropy.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/reduce/total.hpp>

namespace gshard::nn {

namespace detail {

/// The layout of (..., N) beside targets (...), where the axes that split V hold parts of a sum.
constexpr Layout sums_beside(Layout const& targets, Layout const& logits) {
  Layout result = targets;
  result.dimensions.push_back({});
  result.partial = set_of(logits.dimensions.back());
  return result;
}

/// Computes losses and log_sums (...) of logits whose columns are split over ranks. Communication: all-reduces of one
/// number and of three for each row, over the axes that split the columns.
template <AnyTensor Scores, AnyTensor Targets, AnyTensor Rows>
void cross_entropy_of_split(Scores const& scores, Targets const& targets, Rows const& losses, Rows const& log_sums,
                            LossNumbers<typename Scores::value_type> const& numbers) {
  using T = typename Scores::value_type;
  using Space = typename Scores::memory_space;
  using Parts = with_layout<Scores, sums_beside(Targets::layout, Scores::layout)>;
  using Sums = with_layout<Scores, gshard::detail::without_partial(Parts::layout)>;
  auto const extents_of_rows = [&](std::int64_t numbers_of_row) {
    Extents extents = targets.extents();
    extents.push_back(numbers_of_row);
    return extents;
  };
  Sums const summaries(uninitialized, scores.mesh(), extents_of_rows(4));
  record_kernel("cross_entropy", scores, targets, summaries);
  cross_entropy_summary<Space, T>(rows_of(scores), row_of(targets), rows_of(summaries), numbers.first);
  Rows const largest = empty_like(losses);
  largest_logits<Space, T>(rows_of(summaries), row_of(largest));
  gshard::detail::fence<Space>("gshard::cross_entropy: what is sent is computed");
  comm::all_reduce<Space>(scores.mesh_state().group(Parts::layout.partial), largest.data(), largest.local_size(),
                          comm::Reduction::maximum);
  Parts parts(uninitialized, scores.mesh(), extents_of_rows(3));
  rebase_summaries<Space, T>(rows_of(summaries), row_of(largest), rows_of(parts));
  auto const sums = reshard<typename Sums::spec_type>(std::move(parts));
  loss_of_summaries<Space, T>(row_of(largest), rows_of(sums), row_of(targets), row_of(losses), row_of(log_sums),
                              numbers);
}

template <AnyTensor Logits, AnyTensor Targets>
consteval void check_cross_entropy() {
  static_assert(Logits::layout.partial.empty(),
                "gshard: cross_entropy is not linear in the logits; reduce the partial tensor first");
  static_assert(Targets::rank == Logits::rank - 1 && std::is_same_v<typename Targets::value_type, int>,
                "gshard: cross_entropy takes logits (..., V) and targets (...) of int, one for each row of logits");
  if constexpr (Targets::rank == Logits::rank - 1)
    static_assert(
        is_split_as<Targets, Logits>(),
        "gshard: cross_entropy looks up the targets of its own rows; reshard the targets so that they are split as the logits are, V aside");
}

}  // namespace detail

/// Returns the mean over all tokens of the label-smoothed cross entropy plus `z_loss` times log(sum_v exp(logit_v))^2.
/// logits (..., V), as (G, S, V); targets (...) of int, negative for padding, else below V. A scalar.
/// - Padding is left out: its logits are not read, and their gradient is 0.
/// - `tokens` is the global number of targets that are no padding, the same on every rank. The mean of no tokens is 0.
/// - A logit of minus infinity is a word that cannot be: the loss is +inf where it is the target, or where `smoothing`
///   gives it a share.
/// - Communication: all-reduces of one number for the targets' check and for the sum. Logits are never gathered: where
///   axes split V, two all-reduces over them, of one number and of three for each token.
/// - Throws IndexError for a target of V or more, ExtentError where the targets are not one for each row of logits,
///   OptionError unless smoothing is in [0, 1], and tokens and z_loss are finite and at least 0.
template <class X, AnyTensor Targets>
auto cross_entropy(X const& logits, Targets const& targets, double tokens, double smoothing = 0, double z_loss = 0) {
  using Tensor = detail::ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  constexpr int last = Tensor::rank - 1;
  detail::check_cross_entropy<Tensor, Targets>();
  Tensor const& scores = detail::value_of(logits);
  detail::require_rows_of("cross_entropy", "targets", targets, "logits", scores);
  gshard::detail::require_non_negative("tokens", tokens);
  gshard::detail::require_option(smoothing >= 0 && smoothing <= 1, "smoothing", smoothing, "a number from 0 to 1");
  gshard::detail::require_non_negative("z_loss", z_loss);
  gshard::detail::require_ids("cross_entropy", "targets", targets, scores.extent(last),
                              gshard::detail::NegativeIds::padding);
  double const divisor = tokens == 0 ? 1 : tokens;  // without tokens all losses are 0
  using Rows = ShardedTensor<typename Tensor::mesh_type, typename Targets::spec_type, T, Space>;
  Rows const losses(uninitialized, scores.mesh(), targets.extents());
  Rows const log_sums(uninitialized, scores.mesh(), targets.extents());
  std::int64_t const first = scores.range(last).begin;
  std::int64_t const vocabulary = scores.extent(last);
  if constexpr (Tensor::layout.dimensions[last].empty()) {
    detail::record_kernel("cross_entropy", scores, targets, losses, log_sums);
    detail::cross_entropy<Space, T>(detail::rows_of(scores), detail::row_of(targets), detail::row_of(losses),
                                    detail::row_of(log_sums), static_cast<T>(smoothing), static_cast<T>(z_loss));
  } else {
    detail::cross_entropy_of_split(scores, targets, losses, log_sums,
                                   {static_cast<T>(smoothing), static_cast<T>(z_loss), first, vocabulary});
  }
  auto const loss = gshard::detail::scalar_like(losses, sum(losses) / divisor);
  return detail::recorded_beside(
      logits, loss,
      [slot = detail::slot_of(logits), scores, targets, log_sums, divisor, smoothing, z_loss, first,
       vocabulary](auto const& gradient) {
        Tensor const of_logits = detail::empty_like(scores);
        detail::record_kernel("cross_entropy gradient", of_logits, scores, targets, log_sums);
        detail::cross_entropy_backward<Space, T>(
            detail::rows_of(scores), detail::row_of(targets), detail::row_of(log_sums), detail::rows_of(of_logits),
            static_cast<T>(1 / divisor), static_cast<T>(smoothing), detail::Rank0<T const, Space>(gradient.data()),
            first, vocabulary, static_cast<T>(z_loss));
        slot.add(of_logits);
      });
}

/// The same of logits in BFloat16: they are read as floats, and the loss is a float.
template <class X, AnyTensor Targets>
  requires(gshard::detail::is_rounded<typename detail::ValueTensor<X>::value_type>)
auto cross_entropy(X const& logits, Targets const& targets, double tokens, double smoothing = 0, double z_loss = 0) {
  using Number = gshard::detail::Computed<typename detail::ValueTensor<X>::value_type>;
  detail::check_cross_entropy<detail::ValueTensor<X>, Targets>();
  gshard::detail::require_set("cross_entropy", {{"logits", detail::value_of(logits)}});
  return cross_entropy(eval(convert<Number>(logits)), targets, tokens, smoothing, z_loss);
}

}  // namespace gshard::nn
