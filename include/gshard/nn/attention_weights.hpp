// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/options.hpp>
#include <gshard/nn/kernels/softmax.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

/// Which keys a query sees besides the valid ones of its sequence.
enum class Masking { none, causal };

namespace detail {

/// Returns which keys the rows of scores (G, N, H, L, K) see: the first `lengths` (G, N) keys of their sentence, under
/// causal masking up to the position of the query.
template <AnyTensor Scores, AnyTensor Lengths>
auto visible_keys(Scores const& scores, Lengths const& lengths, Masking masking) {
  VisibleKeys<typename Lengths::memory_space> visible;
  visible.lengths = row_of(lengths);
  visible.rows_per_sequence = scores.local_extent(2) * scores.local_extent(3);
  visible.queries = scores.local_extent(3);
  visible.causal = masking == Masking::causal;
  visible.first_query = scores.range(3).begin;
  return visible;
}

/// Attention weights of scores and key lengths, as an operation with a gradient.
struct AttentionWeights {
  double scale;
  Masking masking;

  template <int>
  static constexpr Reads reads = Reads::operand(1) | Reads::result();

  template <AnyTensor Tensor, AnyTensor Lengths>
  auto forward(Tensor const& scores, Lengths const& key_lengths) const {
    using T = typename Tensor::value_type;
    static_assert(Tensor::rank == 5 && Lengths::rank == 2 && std::is_same_v<typename Lengths::value_type, int>,
                  "gshard: attention scores are (G, N, H, L, K), key lengths (G, N) of int");
    static_assert(Tensor::layout.dimensions[4].empty(),
                  "gshard: attention weights are over all keys; reshard the scores so that K is `_`");
    static_assert(
        is_split_as<Lengths, Tensor>(),
        "gshard: attention looks up the words of its own sentences; reshard the key lengths so that G and N are split as those of the scores");
    static_assert(Tensor::layout.partial.empty(),
                  "gshard: attention weights are not linear in the scores; reduce the partial tensor first");
    require_floating_point<Tensor>();
    require_rows_of("attention_weights", "key_lengths", key_lengths, "scores", scores);
    gshard::detail::require_option(std::isfinite(scale), "scale", scale, "a finite number");
    Tensor const result = empty_like(scores);
    record_kernel("attention_weights", result, scores);
    softmax<typename Tensor::memory_space, T>(rows_of(scores), rows_of(result),
                                              static_cast<gshard::detail::Computed<T>>(scale),
                                              visible_keys(scores, key_lengths, masking));
    return result;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& weights = saved.result;
    auto const& key_lengths = std::get<1>(saved.operands);
    using Tensor = std::remove_cvref_t<decltype(weights)>;
    using T = typename Tensor::value_type;
    Tensor const scores_gradient = empty_like(weights);
    record_kernel("attention_weights gradient", scores_gradient, weights, gradient);
    softmax_backward<typename Tensor::memory_space, T>(rows_of(weights), rows_of(gradient), rows_of(scores_gradient),
                                                       static_cast<gshard::detail::Computed<T>>(scale),
                                                       visible_keys(weights, key_lengths, masking));
    std::get<0>(gradients).add(scores_gradient);
  }
};

}  // namespace detail

/// Returns attention weights from scores (G, N, H, L, K): softmax of scale * scores over the visible keys among the K.
/// Visible are the first `key_lengths` (G, N) keys of each sequence (all if a length is above K, none if it is
/// negative), and under causal masking only those up to the position of the query. Does not read scores of other keys;
/// their weight and gradient are 0. A query without visible keys gets zeros. All dimensions but K may be split.
/// Communication: none. Throws ExtentError if G or N differ, OptionError unless `scale` is finite.
template <TensorOperand X, TensorOperand Lengths>
auto attention_weights(X&& scores, Lengths&& key_lengths, double scale, Masking masking) {
  return Differentiable(detail::AttentionWeights{scale, masking})(std::forward<X>(scores),
                                                                  std::forward<Lengths>(key_lengths));
}

}  // namespace gshard::nn
