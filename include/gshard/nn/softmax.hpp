// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/softmax.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

/// Which keys a query sees besides the valid ones of its sequence.
enum class Masking { none, causal };

namespace detail {

/// Every row sees all keys.
template <class MemorySpace>
struct AllKeys {
  VisibleKeys<MemorySpace> operator()() const { return {}; }
};

/// Rows of scores (G, N, H, L, K) see the first keys of their sentence; holds the lengths for the backward pass.
template <AnyTensor Lengths>
struct SentenceKeys {
  Lengths lengths;
  std::int64_t heads;
  std::int64_t queries;
  Masking masking;

  VisibleKeys<typename Lengths::memory_space> operator()() const {
    VisibleKeys<typename Lengths::memory_space> visible;
    visible.lengths = row_of(lengths);
    visible.rows_per_sequence = heads * queries;
    visible.queries = queries;
    visible.causal = masking == Masking::causal;
    return visible;
  }
};

template <class X, class Visible>
auto softmax_of_rows(X const& x, double scale, Visible const& visible) {
  using Tensor = ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static_assert(Tensor::layout.dimensions[Tensor::rank - 1].empty(), "gshard: softmax works on a whole last dimension; reshard x so that it is `_`");
  static_assert(Tensor::layout.partial.empty(), "gshard: softmax is not linear; reduce the partial tensor first");
  Tensor const result = unset_like(value_of(x));
  softmax<T, Space>(rows_of(value_of(x)), rows_of(result), static_cast<T>(scale), visible());
  return recorded_beside(x, result, [slot = slot_of(x), result, scale, visible](auto const& gradient) {
    Tensor const of_input = unset_like(result);
    softmax_backward<T, Space>(rows_of(result), rows_of(gradient), rows_of(of_input), static_cast<T>(scale), visible());
    slot.add(of_input);
  });
}

}  // namespace detail

/// Softmax over the last dimension, which is whole. Local.
template <class X>
auto softmax(X const& x) {
  return detail::softmax_of_rows(x, 1, detail::AllKeys<typename detail::ValueTensor<X>::memory_space>{});
}

/// Attention weights from scores (G, N, H, L, K): softmax of scale * scores over the K keys, of which the first `key_lengths` (G, N) of each sequence are
/// valid, and under causal masking those up to the query's own position. A query that sees no key gets zeros. Local.
template <class X, AnyTensor Lengths>
auto attention_weights(X const& scores, Lengths const& key_lengths, double scale, Masking masking) {
  using Tensor = detail::ValueTensor<X>;
  static_assert(Tensor::rank == 5 && Lengths::rank == 2, "gshard: attention scores are (G, N, H, L, K), key lengths (G, N)");
  Tensor const& values = detail::value_of(scores);
  return detail::softmax_of_rows(scores, scale, detail::SentenceKeys<Lengths>{key_lengths, values.extent(2), values.extent(3), masking});
}

}  // namespace gshard::nn
