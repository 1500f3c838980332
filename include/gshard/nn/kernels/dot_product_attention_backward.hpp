// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/dot_product_attention.hpp>

// Gradients of dot_product_attention (FlashAttention-2, arXiv 2307.08691, algorithm 2): the weights are computed again
// from the saved log_sums. Each row of a gradient is written by one work item, so that no sum depends on timing.
//
//   p[i, j] = exp(scale q[i] . k[j] - log_sums[i]);  dv[j] = sum_i p[i, j] dy[i]
//   ds[i, j] = scale p[i, j] (dy[i] . v[j] - dy[i] . y[i]);  dq[i] = sum_j ds[i, j] k[j];  dk[j] = sum_i ds[i, j] q[i]

namespace gshard::nn::detail {

/// What both kernels of the backward pass read.
template <class T>
struct AttentionBackward : AttentionInput<T> {
  using Number = gshard::detail::Computed<T>;
  T const* gradient;          ///< dy, as the queries
  Number const* log_sums;     ///< (sequences, L, H)
  Number const* projections;  ///< dy . y, (sequences, L, H)
};

template <class T>
struct ProjectionKernel {
  using Number = gshard::detail::Computed<T>;
  T const* result;
  T const* gradient;
  Number* projections;
  std::int64_t columns;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    Number const dot = dot_of_rows<Number>(lanes, columns, result + row * columns, gradient + row * columns);
    lanes.once([&] { projections[row] = dot; });
  }
};

/// One row of dq: loops over tiles of the keys that the query sees.
template <class T>
struct QueriesGradientKernel {
  using Number = gshard::detail::Computed<T>;
  AttentionBackward<T> in;
  Number* queries_gradient;
  bool is_first;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    AttentionBlocks const& blocks = in.blocks;
    QueryRow const place(blocks, row);
    std::int64_t const columns = blocks.head_dim;
    std::int64_t const stride = blocks.kv_heads * columns;
    Number* const sum = queries_gradient + row * columns;
    if (is_first) lanes.each(columns, [=](std::int64_t d) { sum[d] = Number(0); });
    Number const log_sum = in.log_sums[row];
    if (log_sum == -Kokkos::Experimental::infinity_v<Number>) return;
    Number const projection = in.projections[row];
    Number const scale = in.scale;
    Range const visible = blocks.keys_of(blocks.queries.begin + place.position, in.lengths[place.sequence]);
    T const* const query = in.queries + row * columns;
    T const* const gradient = in.gradient + row * columns;
    std::int64_t const first =
        (place.sequence * blocks.keys.size() - blocks.keys.begin) * stride + blocks.kv_head(place.head) * columns;
    for (std::int64_t begin = visible.begin; begin < visible.end; begin += attention_tile) {
      int const count = static_cast<int>(begin + attention_tile < visible.end ? attention_tile : visible.end - begin);
      Number scores[attention_tile];
      for (int b = 0; b < count; ++b) {
        std::int64_t const at = first + (begin + b) * stride;
        Number const score = scale * dot_of_rows<Number>(lanes, columns, query, in.keys + at);
        Number const dot = dot_of_rows<Number>(lanes, columns, gradient, in.values + at);
        scores[b] = scale * loop_exp(score - log_sum) * (dot - projection);
      }
      add_weighted_rows(lanes, columns, sum, scores, in.keys + first + begin * stride, stride, count);
    }
  }
};

/// One row of dk and dv: loops over the heads of its group and over tiles of the queries that see the key.
template <class T>
struct KeysGradientKernel {
  using Number = gshard::detail::Computed<T>;
  AttentionBackward<T> in;
  Number* keys_gradient;
  Number* values_gradient;
  bool is_first;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    AttentionBlocks const& blocks = in.blocks;
    std::int64_t const columns = blocks.head_dim;
    std::int64_t const stride = blocks.heads * columns;
    std::int64_t const kv_head = row % blocks.kv_heads;
    std::int64_t const position = blocks.keys.begin + row / blocks.kv_heads % blocks.keys.size();
    std::int64_t const sequence = row / blocks.kv_heads / blocks.keys.size();
    Number* const keys_sum = keys_gradient + row * columns;
    Number* const values_sum = values_gradient + row * columns;
    if (is_first)
      lanes.each(columns, [=](std::int64_t d) {
        keys_sum[d] = Number(0);
        values_sum[d] = Number(0);
      });
    if (position >= in.lengths[sequence]) return;
    Range const visible = blocks.mask.queries_of(position, blocks.queries);
    Range const heads = blocks.heads_of(kv_head);
    for (std::int64_t head = heads.begin; head < heads.end; ++head)
      for (std::int64_t begin = visible.begin; begin < visible.end; begin += attention_tile) {
        int const count = static_cast<int>(begin + attention_tile < visible.end ? attention_tile : visible.end - begin);
        std::int64_t const first_row =
            (sequence * blocks.queries.size() + begin - blocks.queries.begin) * blocks.heads + head;
        Number weights[attention_tile];
        Number scores[attention_tile];
        for (int b = 0; b < count; ++b) weigh(row, first_row + b * blocks.heads, lanes, weights[b], scores[b]);
        add_weighted_rows(lanes, columns, values_sum, weights, in.gradient + first_row * columns, stride, count);
        add_weighted_rows(lanes, columns, keys_sum, scores, in.queries + first_row * columns, stride, count);
      }
  }

 private:
  /// Computes p[i, j] and ds[i, j] of the key row `row` and the query row `query_row`.
  template <class Lanes>
  KOKKOS_FORCEINLINE_FUNCTION void weigh(std::int64_t row, std::int64_t query_row, Lanes const& lanes, Number& weight,
                                         Number& score) const {
    std::int64_t const columns = in.blocks.head_dim;
    Number const log_sum = in.log_sums[query_row];
    Number const product =
        in.scale * dot_of_rows<Number>(lanes, columns, in.queries + query_row * columns, in.keys + row * columns);
    Number const dot =
        dot_of_rows<Number>(lanes, columns, in.gradient + query_row * columns, in.values + row * columns);
    // A query all of whose scores are minus infinity has the result 0, and no gradient.
    weight = log_sum == -Kokkos::Experimental::infinity_v<Number> ? Number(0) : loop_exp(product - log_sum);
    score = in.scale * weight * (dot - in.projections[query_row]);
  }
};

/// Computes dy . y of each row of a result (rows, columns) and its gradient.
template <class MemorySpace, class T>
void attention_projections(std::int64_t rows, std::int64_t columns, T const* result, T const* gradient,
                           gshard::detail::Computed<T>* projections) {
  for_each_row<MemorySpace>("gshard::dot_product_attention, dy . y", rows,
                            ProjectionKernel<T>{result, gradient, projections, columns});
}
GSHARD_COMPILED_FLOATS(attention_projections)

/// Adds what a block of keys brings to dq (sequences, L, H, D), which the first block sets.
template <class MemorySpace, class T>
void attention_queries_gradient(AttentionBackward<T> const& in, gshard::detail::Computed<T>* queries_gradient,
                                bool is_first) {
  for_each_row<MemorySpace>("gshard::dot_product_attention, gradient of queries", in.blocks.query_rows(),
                            QueriesGradientKernel<T>{in, queries_gradient, is_first});
}
GSHARD_COMPILED_FLOATS(attention_queries_gradient)

/// Adds what a block of queries brings to dk and dv (sequences, K, J, D), which the first block sets.
template <class MemorySpace, class T>
void attention_keys_gradient(AttentionBackward<T> const& in, gshard::detail::Computed<T>* keys_gradient,
                             gshard::detail::Computed<T>* values_gradient, bool is_first) {
  for_each_row<MemorySpace>("gshard::dot_product_attention, gradient of keys", in.blocks.key_rows(),
                            KeysGradientKernel<T>{in, keys_gradient, values_gradient, is_first});
}
GSHARD_COMPILED_FLOATS(attention_keys_gradient)

}  // namespace gshard::nn::detail
