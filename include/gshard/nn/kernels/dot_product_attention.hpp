// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>
#include <gshard/tensor/shard_range.hpp>

// Attention without a matrix of scores (FlashAttention, arXiv 2205.14135): one work item holds one row of the result
// and reads keys in tiles. Kernels of the backward pass: dot_product_attention_backward.hpp.

namespace gshard::nn::detail {

/// Number of keys, or queries, whose scores one work item holds at a time.
inline constexpr int attention_tile = 16;

/// Positions that a query may see, apart from padding: j <= i where `causal`, and i - window < j.
/// Precondition: 1 <= window; it is used where `causal` only. A window of all queries hides nothing.
struct AttentionMask {
  bool causal = false;
  std::int64_t window = 1;

  /// Returns the part of the keys `keys` that query `i` sees.
  GSHARD_FUNCTION constexpr Range keys_of(std::int64_t i, Range keys) const {
    if (!causal) return keys;
    return common(keys, i - window + 1, i + 1);
  }
  /// Returns the part of the queries `queries` that see key `j`.
  GSHARD_FUNCTION constexpr Range queries_of(std::int64_t j, Range queries) const {
    if (!causal) return queries;
    return common(queries, j, j + window);
  }
  /// Returns whether a query of `queries` sees a key of `keys`.
  constexpr bool any(Range queries, Range keys) const {
    if (queries.size() <= 0 || keys.size() <= 0) return false;
    // i - j takes every value between its smallest and its largest one.
    return !causal || (queries.begin - keys.end + 1 < window && queries.end - 1 >= keys.begin);
  }

 private:
  GSHARD_FUNCTION static constexpr Range common(Range range, std::int64_t begin, std::int64_t end) {
    if (begin < range.begin) begin = range.begin;
    if (end > range.end) end = range.end;
    return {begin, end > begin ? end : begin};
  }
};

/// Extents of a block of queries (sequences, L, H, D) and a block of keys (sequences, K, J, D), and where they lie in
/// their tensors.
struct AttentionBlocks {
  std::int64_t sequences;  ///< G * N
  std::int64_t heads;      ///< H of this block
  std::int64_t kv_heads;   ///< J of this block
  std::int64_t head_dim;   ///< D
  std::int64_t group;      ///< H / J of the whole tensors: the heads that share one head of keys
  std::int64_t first_head;
  std::int64_t first_kv_head;
  Range queries;  ///< global positions
  Range keys;     ///< global positions
  AttentionMask mask;

  /// Returns the number of rows of the queries.
  constexpr std::int64_t query_rows() const { return sequences * queries.size() * heads; }
  /// Returns the number of rows of the keys.
  constexpr std::int64_t key_rows() const { return sequences * keys.size() * kv_heads; }

  /// Returns the keys of a sequence of `length` keys that query `i` sees in this block, as global positions.
  GSHARD_FUNCTION constexpr Range keys_of(std::int64_t i, std::int64_t length) const {
    Range valid = keys;
    if (length < valid.end) valid.end = length > valid.begin ? length : valid.begin;
    return mask.keys_of(i, valid);
  }
  /// Returns the head of this block of keys that the head `head` of this block of queries reads.
  GSHARD_FUNCTION constexpr std::int64_t kv_head(std::int64_t head) const {
    return (first_head + head) / group - first_kv_head;
  }
  /// Returns the heads of this block of queries that read the head `kv_head` of this block of keys.
  GSHARD_FUNCTION constexpr Range heads_of(std::int64_t kv_head) const {
    std::int64_t const begin = (first_kv_head + kv_head) * group - first_head;
    std::int64_t const end = begin + group;
    return {begin > 0 ? begin : 0, end < heads ? end : heads};
  }
};

/// Place of a row of queries in a block.
struct QueryRow {
  std::int64_t head;
  std::int64_t position;  ///< in the block
  std::int64_t sequence;

  GSHARD_FUNCTION constexpr QueryRow(AttentionBlocks const& blocks, std::int64_t row)
      : head(row % blocks.heads),
        position(row / blocks.heads % blocks.queries.size()),
        sequence(row / blocks.heads / blocks.queries.size()) {}
};

/// Adds weights[b] * rows[b * stride + d] to sum[d] for all b in [0, count). Reads no further rows.
template <class Number, class T, class Lanes>
KOKKOS_FORCEINLINE_FUNCTION void add_weighted_rows(Lanes const& lanes, std::int64_t columns, Number* sum,
                                                   Number const* weights, T const* rows, std::int64_t stride,
                                                   int count) {
  int b = 0;
  // Four rows at a time: the sum is read and written once for them.
  for (; b + 4 <= count; b += 4) {
    Number const w0 = weights[b], w1 = weights[b + 1], w2 = weights[b + 2], w3 = weights[b + 3];
    T const* const r0 = rows + b * stride;
    T const* const r1 = r0 + stride;
    T const* const r2 = r1 + stride;
    T const* const r3 = r2 + stride;
    lanes.each(columns, [=](std::int64_t d) {
      sum[d] += (w0 * Number(r0[d]) + w1 * Number(r1[d])) + (w2 * Number(r2[d]) + w3 * Number(r3[d]));
    });
  }
  for (; b < count; ++b) {
    Number const weight = weights[b];
    T const* const row = rows + b * stride;
    lanes.each(columns, [=](std::int64_t d) { sum[d] += weight * Number(row[d]); });
  }
}

/// Returns the dot product of two rows.
template <class Number, class T, class Other, class Lanes>
KOKKOS_FORCEINLINE_FUNCTION Number dot_of_rows(Lanes const& lanes, std::int64_t columns, T const* left,
                                               Other const* right) {
  return lanes.template sum<Number>(columns, [=](std::int64_t d) { return Number(left[d]) * Number(right[d]); });
}

/// Block of queries (sequences, L, H, D) and block of keys and values (sequences, K, J, D), with the key lengths
/// (sequences): what the kernels of both passes read.
template <class T>
struct AttentionInput {
  AttentionBlocks blocks;
  T const* queries;
  T const* keys;
  T const* values;
  int const* lengths;
  gshard::detail::Computed<T> scale;
};

/// One row of queries: online softmax over tiles of keys.
/// State of a row between blocks of keys: `result`, the weighted mean of the values so far, and `log_sums`, the log of
/// the sum of exp(score), minus infinity without keys.
template <class T>
struct DotProductAttentionKernel {
  using Number = gshard::detail::Computed<T>;
  AttentionInput<T> in;
  Number* result;
  Number* log_sums;
  bool is_first;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    constexpr Number nothing = -Kokkos::Experimental::infinity_v<Number>;
    AttentionBlocks const& blocks = in.blocks;
    QueryRow const place(blocks, row);
    std::int64_t const columns = blocks.head_dim;
    std::int64_t const stride = blocks.kv_heads * columns;
    Range const visible = blocks.keys_of(blocks.queries.begin + place.position, in.lengths[place.sequence]);
    if (!is_first && visible.size() == 0) return;
    Number* const sum = result + row * columns;
    Number largest = is_first ? nothing : log_sums[row];
    Number total = largest == nothing ? Number(0) : Number(1);
    if (is_first) lanes.each(columns, [=](std::int64_t d) { sum[d] = Number(0); });
    T const* const query = in.queries + row * columns;
    std::int64_t const first =
        (place.sequence * blocks.keys.size() - blocks.keys.begin) * stride + blocks.kv_head(place.head) * columns;
    for (std::int64_t begin = visible.begin; begin < visible.end; begin += attention_tile) {
      int const count = static_cast<int>(begin + attention_tile < visible.end ? attention_tile : visible.end - begin);
      Number weights[attention_tile];
      Number new_largest = largest;
      for (int b = 0; b < attention_tile; ++b) {
        weights[b] = b < count
                         ? in.scale * dot_of_rows<Number>(lanes, columns, query, in.keys + first + (begin + b) * stride)
                         : nothing;
        if (weights[b] > new_largest) new_largest = weights[b];
      }
      // Scores of minus infinity alone: exp(-inf - 0) = 0, where exp(-inf - -inf) is NaN.
      Number const reference = new_largest == nothing ? Number(0) : new_largest;
      Number const shrink = loop_exp(largest - reference);
      total *= shrink;
      for (int b = 0; b < attention_tile; ++b) {
        weights[b] = loop_exp(weights[b] - reference);
        total += weights[b];
      }
      if (largest != new_largest) lanes.each(columns, [=](std::int64_t d) { sum[d] *= shrink; });
      largest = new_largest;
      add_weighted_rows(lanes, columns, sum, weights, in.values + first + begin * stride, stride, count);
    }
    Number const inverse = total == Number(0) ? Number(0) : Number(1) / total;
    lanes.each(columns, [=](std::int64_t d) { sum[d] *= inverse; });
    lanes.barrier();  // all lanes have read the state of the row
    lanes.once([&] { log_sums[row] = total == Number(0) ? nothing : largest + Kokkos::log(total); });
  }
};

/// Adds a block of keys to the attention of a block of queries; the first one if `is_first`, which sets the state.
/// State: result, as queries, and log_sums (sequences, L, H).
/// Does not read keys and values at positions >= the length of their sequence.
template <class MemorySpace, class T>
void dot_product_attention(AttentionInput<T> const& in, gshard::detail::Computed<T>* result,
                           gshard::detail::Computed<T>* log_sums, bool is_first) {
  for_each_row<MemorySpace>("gshard::dot_product_attention", in.blocks.query_rows(),
                            DotProductAttentionKernel<T>{in, result, log_sums, is_first});
}
GSHARD_COMPILED_FLOATS(dot_product_attention)

}  // namespace gshard::nn::detail
