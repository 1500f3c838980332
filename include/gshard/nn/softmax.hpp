// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/softmax.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

namespace detail {

template <class X>
auto softmax_of_rows(X const& x, double scale, VisibleKeys<typename ValueTensor<X>::memory_space> const& visible, auto const& kept) {
  using Tensor = ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static_assert(Tensor::layout.dimensions[Tensor::rank - 1].empty(), "gshard: softmax works on a whole last dimension; reshard x so that it is `_`");
  static_assert(Tensor::layout.partial.empty(), "gshard: softmax is not linear; reduce the partial tensor first");
  Tensor const result = unset_like(value_of(x));
  softmax<T, Space>(rows_of(value_of(x)), rows_of(result), static_cast<T>(scale), visible);
  return recorded_beside(x, result, [slot = slot_of(x), result, scale, visible, kept](auto const& gradient) {
    Tensor const of_input = unset_like(result);
    softmax_backward<T, Space>(rows_of(result), rows_of(gradient), rows_of(of_input), static_cast<T>(scale), visible);
    slot.add(of_input);
  });
}

}  // namespace detail

/// Softmax over the last dimension, which is whole. Local.
template <class X>
auto softmax(X const& x) {
  return detail::softmax_of_rows(x, 1, {}, 0);
}

/// Which keys a query sees besides the valid ones of its sequence.
enum class Masking { none, causal };

/// Attention weights from scores (G, N, H, L, K): softmax of scale * scores over the K keys, of which the first `key_lengths` (G, N) of each sequence are
/// valid, and under causal masking those up to the query's own position. A query that sees no key gets zeros. Local.
template <class X, AnyTensor Lengths>
auto attention_weights(X const& scores, Lengths const& key_lengths, double scale, Masking masking) {
  using Tensor = detail::ValueTensor<X>;
  static_assert(Tensor::rank == 5 && Lengths::rank == 2, "gshard: attention scores are (G, N, H, L, K), key lengths (G, N)");
  Tensor const& values = detail::value_of(scores);
  detail::VisibleKeys<typename Tensor::memory_space> visible;
  visible.lengths = detail::row_of(key_lengths);
  visible.queries = values.extent(3);
  visible.rows_per_sequence = values.extent(2) * values.extent(3);
  visible.causal = masking == Masking::causal;
  return detail::softmax_of_rows(scores, scale, visible, key_lengths);
}

}  // namespace gshard::nn
