// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/core/options.hpp>
#include <gshard/index/check_ids.hpp>
#include <gshard/nn/kernels/cross_entropy.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/reduce/total.hpp>
#include <gshard/reshard/reshard.hpp>
#include <gshard/tensor/operands.hpp>

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

/// Mean cross entropy of logits and targets over all tokens, as an operation with a gradient. Residual: log_sums (...),
/// log(sum_v exp(logit_v)) of each row.
struct CrossEntropy {
  double tokens;
  double smoothing;
  double z_loss;

  template <int>
  static constexpr Reads reads = Reads::operand(0) | Reads::operand(1);

  template <AnyTensor Logits, AnyTensor Targets>
  auto forward(Logits const& logits, Targets const& targets) const {
    using T = typename Logits::value_type;
    using Space = typename Logits::memory_space;
    constexpr int last = Logits::rank - 1;
    check_cross_entropy<Logits, Targets>();
    require_floating_point<Logits>();
    require_rows_of("cross_entropy", "targets", targets, "logits", logits);
    gshard::detail::require_non_negative("tokens", tokens);
    gshard::detail::require_option(smoothing >= 0 && smoothing <= 1, "smoothing", smoothing, "a number from 0 to 1");
    gshard::detail::require_non_negative("z_loss", z_loss);
    gshard::detail::require_ids("cross_entropy", "targets", targets, logits.extent(last),
                                gshard::detail::NegativeIds::padding);
    using Rows = ShardedTensor<typename Logits::mesh_type, typename Targets::spec_type, T, Space>;
    Rows const losses(uninitialized, logits.mesh(), targets.extents());
    Rows const log_sums(uninitialized, logits.mesh(), targets.extents());
    if constexpr (Logits::layout.dimensions[last].empty()) {
      record_kernel("cross_entropy", logits, targets, losses, log_sums);
      cross_entropy<Space, T>(rows_of(logits), row_of(targets), row_of(losses), row_of(log_sums),
                              static_cast<T>(smoothing), static_cast<T>(z_loss));
    } else {
      cross_entropy_of_split(
          logits, targets, losses, log_sums,
          {static_cast<T>(smoothing), static_cast<T>(z_loss), logits.range(last).begin, logits.extent(last)});
    }
    return WithResiduals{gshard::detail::scalar_like(losses, sum(losses) / divisor()), log_sums};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [logits, targets] = saved.operands;
    auto const& log_sums = saved.residuals;
    using Logits = std::remove_cvref_t<decltype(logits)>;
    using T = typename Logits::value_type;
    using Space = typename Logits::memory_space;
    constexpr int last = Logits::rank - 1;
    Logits const logits_gradient = empty_like(logits);
    record_kernel("cross_entropy gradient", logits_gradient, logits, targets, log_sums);
    cross_entropy_backward<Space, T>(rows_of(logits), row_of(targets), row_of(log_sums), rows_of(logits_gradient),
                                     static_cast<T>(1 / divisor()), static_cast<T>(smoothing),
                                     Rank0<T const, Space>(gradient.data()), logits.range(last).begin,
                                     logits.extent(last), static_cast<T>(z_loss));
    std::get<0>(gradients).add(logits_gradient);
  }

 private:
  double divisor() const { return tokens == 0 ? 1 : tokens; }  // without tokens all losses are 0
};

}  // namespace detail

/// Returns the mean over all tokens of the label-smoothed cross entropy plus `z_loss` times log(sum_v exp(logit_v))^2.
/// logits (..., V), as (G, S, V); targets (...) of int, negative for padding, else below V. A scalar. Logits in
/// BFloat16 are read as floats, and the loss is a float.
/// - Padding is left out: its logits are not read, and their gradient is 0.
/// - `tokens` is the global number of targets that are no padding, the same on every rank. The mean of no tokens is 0.
/// - A logit of minus infinity is a word that cannot be: the loss is +inf if it is the target, or if `smoothing` gives
///   it a share.
/// - Communication: all-reduces of one number for the targets' check and for the sum. Logits are never gathered: if
///   axes split V, two all-reduces over them, of one number and of three for each token.
/// - Throws IndexError for a target of V or more, ExtentError if the targets are not one for each row of logits,
///   OptionError unless smoothing is in [0, 1], and tokens and z_loss are finite and at least 0.
template <TensorOperand X, TensorOperand Targets>
auto cross_entropy(X&& logits, Targets&& targets, double tokens, double smoothing = 0, double z_loss = 0) {
  using Logits = detail::ValueTensor<X>;
  using T = typename Logits::value_type;
  Differentiable const operation(detail::CrossEntropy{tokens, smoothing, z_loss});
  if constexpr (gshard::detail::is_rounded<T>) {
    detail::check_cross_entropy<Logits, detail::ValueTensor<Targets>>();
    auto const& rounded = gshard::detail::evaluated(std::forward<X>(logits));
    gshard::detail::require_set("cross_entropy", {{"logits", detail::value_of(rounded)}});
    return operation(eval(cast<gshard::detail::Computed<T>>(rounded)), std::forward<Targets>(targets));
  } else {
    return operation(std::forward<X>(logits), std::forward<Targets>(targets));
  }
}

}  // namespace gshard::nn
