// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "dense.hpp"

/// The layers as plain loops over whole tensors.
namespace gshard::test {

/// The rows of the last dimension, one after the other, each through `function(row in, row out)`.
template <class Function>
Values by_rows(Values const& values, std::int64_t width, Function const& function) {
  Values result(values.size());
  for (std::size_t row = 0; row < values.size(); row += static_cast<std::size_t>(width))
    function(values.data() + row, result.data() + row);
  return result;
}

void softmax_row(double const* in, double* out, std::int64_t count);

inline int token_id(std::int64_t position, int vocabulary) {
  return static_cast<int>(position * 7 % (vocabulary + 1)) - 1;
}

std::vector<int> token_ids(std::int64_t count, int vocabulary);

/// softmax of scale * scores (G, N, H, L, K) over the keys that a query sees; zeros where it sees none.
Values attention_weights_of(Dense const& scores, std::vector<int> const& lengths, double scale, bool causal);

/// Numbers of words from 0 to `longest`.
std::vector<int> some_lengths(std::int64_t sentences, int longest);

/// Multi-head attention of queries (G, N * L, M) to keys (G, N * K, M): in[0], in[1], then wq, wk, wv (M, H, D) and wo
/// (H, D, M).
Values attention_of(std::vector<Dense> const& in, std::vector<int> const& lengths, std::int64_t sentences, bool causal);

/// Rows of a table (V, M) times `scale`; zeros for negative ids.
Values embedding_of(Dense const& table, std::vector<int> const& ids, double scale);

/// relu(x wi) wo: in[0] (G, S, M), then wi (M, H) and wo (H, M).
Values feed_forward_of(std::vector<Dense> const& in);

/// The mean over the real tokens of -sum_v q_v log p_v, where q has 1 - e + e/V on the target and e/V elsewhere.
double cross_entropy_of(Values const& logits, std::vector<int> const& targets, int vocabulary, double smoothing,
                        double z_loss = 0);

}  // namespace gshard::test
