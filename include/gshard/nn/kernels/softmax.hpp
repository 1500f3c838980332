// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>
#include <gshard/reduce/kernels/softmax.hpp>

namespace gshard::nn::detail {

/// Which keys each row of attention scores may see. Rows are (sequence, head, query), the query last; a row sees a
/// leading part of its keys, so masked scores are never read and may hold anything. The default hides nothing.
template <class MemorySpace>
struct VisibleKeys {
  Rank1<int const, MemorySpace> lengths{};  ///< (N): the valid keys of each sequence; empty: all are valid
  std::int64_t rows_per_sequence = 1;       ///< heads times queries
  std::int64_t queries = 1;                 ///< queries of one head of one sequence
  bool causal = false;                      ///< a query sees no key after its own position
  /// position of query 0 in its sentence: not 0 where ranks share the queries
  std::int64_t first_query = 0;

  /// The number of leading keys that the row sees.
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t count(std::int64_t row, std::int64_t keys) const {
    std::int64_t visible = keys;
    if (lengths.data() != nullptr) {
      std::int64_t const length = lengths(row / rows_per_sequence);
      if (length < visible) visible = length;
    }
    if (causal) {
      std::int64_t const past = first_query + row % queries + 1;
      if (past < visible) visible = past;
    }
    return visible > 0 ? visible : 0;
  }
};

/// Scores times a number.
template <class T>
struct ScaledScores {
  T const* data;
  gshard::detail::Computed<T> scale;
  KOKKOS_FORCEINLINE_FUNCTION gshard::detail::Computed<T> operator()(std::int64_t position) const {
    return scale * data[position];
  }
};

template <class T, class MemorySpace>
using SoftmaxKernel =
    gshard::detail::SoftmaxRows<gshard::detail::SoftmaxForm::plain, T, ScaledScores<T>, VisibleKeys<MemorySpace>>;

template <class T, class MemorySpace>
using SoftmaxBackwardKernel = gshard::detail::SoftmaxRowsBackward<T, VisibleKeys<MemorySpace>>;

/// Softmax of scale * scores over the last dimension, (rows, keys); `probabilities` may be `scores`. Keys that
/// `visible` hides get 0; a row that sees none is all 0. The result stands for any finite scores: the largest is
/// subtracted first.
template <class MemorySpace, class T>
void softmax(Rank2<T const, MemorySpace> scores, Rank2<T, MemorySpace> probabilities,
             gshard::detail::Computed<T> scale = 1, VisibleKeys<MemorySpace> visible = {}) {
  for_each_row<MemorySpace>(
      "gshard::softmax", extent(scores, 0),
      SoftmaxKernel<T, MemorySpace>{{scores.data(), scale}, probabilities.data(), extent(scores, 1), visible});
}
GSHARD_COMPILED_FLOATS(softmax)

/// The gradient of softmax: d scores = scale * p * (dp - sum(p * dp)), from its result p and the gradient dp of that,
/// with the arguments of the forward call. `gradient` may be `upstream`. Hidden places of p and dp are not read, and
/// get 0.
template <class MemorySpace, class T>
void softmax_backward(Rank2<T const, MemorySpace> probabilities, Rank2<T const, MemorySpace> upstream,
                      Rank2<T, MemorySpace> gradient, gshard::detail::Computed<T> scale = 1,
                      VisibleKeys<MemorySpace> visible = {}) {
  for_each_row<MemorySpace>(
      "gshard::softmax_backward", extent(probabilities, 0),
      SoftmaxBackwardKernel<T, MemorySpace>{probabilities.data(), upstream.data(), gradient.data(),
                                            extent(probabilities, 1), visible, scale});
}
GSHARD_COMPILED_FLOATS(softmax_backward)

}  // namespace gshard::nn::detail
