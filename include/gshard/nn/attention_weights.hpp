// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <gshard/core/options.hpp>
#include <gshard/nn/kernels/softmax.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

/// Which keys a query sees besides the valid ones of its sequence.
enum class Masking { none, causal };

namespace detail {

/// Rows of scores (G, N, H, L, K) see the first keys of their sentence; holds the lengths for the backward pass.
template <AnyTensor Lengths>
struct SentenceKeys {
  Lengths lengths;
  std::int64_t heads;
  std::int64_t queries;
  std::int64_t first_query;
  Masking masking;

  VisibleKeys<typename Lengths::memory_space> operator()() const {
    VisibleKeys<typename Lengths::memory_space> visible;
    visible.lengths = row_of(lengths);
    visible.rows_per_sequence = heads * queries;
    visible.queries = queries;
    visible.causal = masking == Masking::causal;
    visible.first_query = first_query;
    return visible;
  }
};

}  // namespace detail

/// Returns attention weights from scores (G, N, H, L, K): softmax of scale * scores over the visible keys among the K.
/// Visible are the first `key_lengths` (G, N) keys of each sequence (all where a length is above K, none where it is
/// negative), and under causal masking only those up to the position of the query. Scores of other keys are not read;
/// their weight and gradient are 0. A query without visible keys gets zeros. All dimensions but K may be split. Local.
/// Throws ExtentError where G or N differ, OptionError unless `scale` is finite.
template <class X, AnyTensor Lengths>
auto attention_weights(X const& scores, Lengths const& key_lengths, double scale, Masking masking) {
  using Tensor = detail::ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static_assert(Tensor::rank == 5 && Lengths::rank == 2 && std::is_same_v<typename Lengths::value_type, int>,
                "gshard: attention scores are (G, N, H, L, K), key lengths (G, N) of int");
  static_assert(Tensor::layout.dimensions[4].empty(),
                "gshard: attention weights are over all keys; reshard the scores so that K is `_`");
  static_assert(
      detail::is_split_as<Lengths, Tensor>(),
      "gshard: attention looks up the words of its own sentences; reshard the key lengths so that G and N are split as those of the scores");
  static_assert(Tensor::layout.partial.empty(),
                "gshard: attention weights are not linear in the scores; reduce the partial tensor first");
  Tensor const& values = detail::value_of(scores);
  detail::require_rows_of("attention_weights", "key_lengths", key_lengths, "scores", values);
  gshard::detail::require_option(std::isfinite(scale), "scale", scale, "a finite number");
  detail::SentenceKeys<Lengths> const visible{key_lengths, values.local_extent(2), values.local_extent(3),
                                              values.range(3).begin, masking};
  Tensor const result = detail::empty_like(values);
  detail::record_kernel("attention_weights", result, values);
  detail::softmax<Space, T>(detail::rows_of(values), detail::rows_of(result),
                            static_cast<gshard::detail::Computed<T>>(scale), visible());
  return detail::recorded_beside(
      scores, result, [slot = detail::slot_of(scores), result, scale, visible](auto const& gradient) {
        Tensor const of_scores = detail::empty_like(result);
        detail::record_kernel("attention_weights gradient", of_scores, result, gradient);
        detail::softmax_backward<Space, T>(detail::rows_of(result), detail::rows_of(gradient),
                                           detail::rows_of(of_scores), static_cast<gshard::detail::Computed<T>>(scale),
                                           visible());
        slot.add(of_scores);
      });
}

}  // namespace gshard::nn
