// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/nn/attention_operands.hpp>
#include <gshard/nn/attention_ring.hpp>
#include <gshard/nn/kernels/dot_product_attention.hpp>
#include <gshard/nn/kernels/dot_product_attention_backward.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

namespace detail {

/// Attention of queries, keys, values and key lengths, as an operation with a gradient.
/// Residuals: log_sums (G, N, L, H), the log of the sum of exp(score) of each query.
struct DotProductAttention {
  AttentionOptions options;

  template <AnyTensor Q, AnyTensor K, AnyTensor V, AnyTensor Lengths>
  auto forward(Q const& queries, K const& keys, V const& values, Lengths const& key_lengths) const {
    using Mistake = typename decltype(attention_mistake<Q, K, V, Lengths>())::type;
    if constexpr (!std::is_void_v<Mistake>) {
      using Refused [[maybe_unused]] = decltype(Mistake{});
      return queries;
    } else {
      require_floating_point<Q>();
      check_attention(options, queries, keys, values, key_lengths);
      return attend(queries, keys, values, key_lengths);
    }
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& queries = std::get<0>(saved.operands);
    auto const& keys = std::get<1>(saved.operands);
    auto const& values = std::get<2>(saved.operands);
    auto const& [dq, dk, dv, none] = gradients;
    using Q = std::remove_cvref_t<decltype(queries)>;
    using K = std::remove_cvref_t<decltype(keys)>;
    using Dy = std::remove_cvref_t<decltype(gradient)>;
    using T = typename Q::value_type;
    using Number = gshard::detail::Computed<T>;
    using Space = typename Q::memory_space;
    using KeysPart = gshard::detail::Widened<GradientPart<K, Dy>>;
    constexpr bool wants_queries = is_wanted<decltype(dq)>;
    constexpr bool wants_keys = is_wanted<decltype(dk)> || is_wanted<decltype(dv)>;

    AttentionRing const ring = ring_of(queries, keys);
    Scratch<Space> scratch(queries.memory());
    Number* const projections = scratch.template get<Number>(saved.residuals.local_size());
    attention_projections<Space, T>(saved.residuals.local_size(), queries.extent(4), saved.result.data(),
                                    gradient.data(), projections);
    gshard::detail::Widened<Dy> queries_gradient;
    KeysPart keys_gradient, values_gradient;
    if constexpr (wants_queries)
      queries_gradient = decltype(queries_gradient)(uninitialized, queries.mesh(), queries.extents());
    if constexpr (wants_keys) {
      keys_gradient = KeysPart(uninitialized, keys.mesh(), keys.extents());
      values_gradient = KeysPart(uninitialized, keys.mesh(), keys.extents());
    }
    AttentionBackward<T> in{input_of(queries, keys, values, std::get<3>(saved.operands)), gradient.data(),
                            saved.residuals.data(), projections};
    RingPair<T const> const own{keys.data(), values.data()};
    RingPair<Number> const own_gradient{keys_gradient.data(), values_gradient.data()};
    std::int64_t const row = in.blocks.sequences * in.blocks.kv_heads * in.blocks.head_dim;
    int const steps = ring.steps();
    TravellingKeys<Space, T> travelling(ring, row, own, scratch);
    RingBuffers<Number> const sums(scratch, wants_keys ? steps - 1 : 0, row * ring.largest());
    int const own_hops = ring.hops(ring.own());
    auto const use_block = [&](int place, RingPair<T const> const& block) {
      in.blocks.keys = ring.keys(place);
      in.keys = block.keys;
      in.values = block.values;
    };
    auto const add_own = [&](bool is_first) {
      use_block(ring.own(), own);
      record_work(queries, in.blocks, "dot_product_attention gradient of keys", 8);
      attention_keys_gradient<Space, T>(in, own_gradient.keys, own_gradient.values, is_first);
    };
    // dk and dv of a block start at the first rank after its owner, travel with the block, and return from the last
    // rank to the owner, which adds its own part to them. In step `steps`, the last of them return.
    for (int step = 0; step < steps + (wants_keys && steps > 1 ? 1 : 0); ++step) {
      PendingPair onward, home;
      if (steps > 1) gshard::detail::fence<Space>("gshard: local work before communication");
      travelling.start(step + 1);
      if constexpr (wants_keys) {
        if (step >= 2 && step < steps)
          onward = PendingPair(ring.group(), ring.onward(step), row, sums.of_step(step - 1), sums.of_step(step));
        if (step >= 2) home = PendingPair(ring.group(), ring.home(step), row, sums.of_step(step - 1), own_gradient);
      }
      bool const has_block = step < steps && ring.arrives(step);
      if (has_block) use_block(ring.place(step), travelling.current());
      if constexpr (wants_queries) {
        if (has_block) {
          record_work(queries, in.blocks, "dot_product_attention gradient of queries", 6);
          attention_queries_gradient<Space, T>(in, queries_gradient.data(), step == 0);
        }
      }
      if constexpr (wants_keys) {
        onward.wait();
        if (has_block && step > 0) {
          record_work(queries, in.blocks, "dot_product_attention gradient of keys", 8);
          attention_keys_gradient<Space, T>(in, sums.of_step(step).keys, sums.of_step(step).values, step == 1);
        }
        home.wait();
        if (step == (own_hops == 0 ? 0 : own_hops + 1)) add_own(own_hops == 0);
      }
      travelling.finish(step + 1);
    }
    if constexpr (wants_queries) dq.add(queries_gradient);
    add_keys_gradient(dk, keys_gradient);
    add_keys_gradient(dv, values_gradient);
  }

 private:
  /// Returns the blocks of this rank, as the kernels read them.
  template <AnyTensor Q, AnyTensor K, AnyTensor V, AnyTensor Lengths>
  AttentionInput<typename Q::value_type> input_of(Q const& queries, K const& keys, V const& values,
                                                  Lengths const& key_lengths) const {
    return {attention_blocks(options, queries, keys),
            queries.data(),
            keys.data(),
            values.data(),
            key_lengths.data(),
            static_cast<gshard::detail::Computed<typename Q::value_type>>(attention_scale(options, queries))};
  }

  template <AnyTensor Q, AnyTensor K>
  AttentionRing ring_of(Q const& queries, K const& keys) const {
    return AttentionRing(queries.mesh_state(), Q::layout.dimensions[2], queries.extent(2), keys.extent(2),
                         attention_mask(options, queries));
  }

  /// Records `flops_per_element` for each d of each pair of a query and a key that the mask shows, and each element of
  /// both blocks once.
  template <AnyTensor Q>
  static void record_work(Q const& queries, AttentionBlocks const& blocks, char const* name,
                          std::int64_t flops_per_element) {
    Ledger& ledger = queries.memory().ledger();
    if (!ledger.is_open()) return;
    std::int64_t pairs = 0;
    for (std::int64_t i = blocks.queries.begin; i < blocks.queries.end; ++i)
      pairs += blocks.mask.keys_of(i, blocks.keys).size();
    std::int64_t const columns = blocks.sequences * blocks.heads * blocks.head_dim;
    ledger.add_work(
        name, gshard::detail::saturated_product(pairs, gshard::detail::saturated_product(columns, flops_per_element)),
        2 * (blocks.query_rows() + blocks.key_rows()) * blocks.head_dim *
            static_cast<std::int64_t>(sizeof(typename Q::value_type)));
  }

  template <AnyTensor Q, AnyTensor K, AnyTensor V, AnyTensor Lengths>
  auto attend(Q const& queries, K const& keys, V const& values, Lengths const& key_lengths) const {
    using T = typename Q::value_type;
    using Number = gshard::detail::Computed<T>;
    using Space = typename Q::memory_space;
    Q const result = empty_like(queries);
    Extents rows = queries.extents();
    rows.pop_back();
    RowNumbers<Q> const log_sums(uninitialized, queries.mesh(), rows);
    Scratch<Space> scratch(queries.memory());
    Number* sums;
    if constexpr (gshard::detail::is_rounded<T>) sums = scratch.template get<Number>(result.local_size());
    else sums = result.data();
    AttentionRing const ring = ring_of(queries, keys);
    AttentionInput<T> in = input_of(queries, keys, values, key_lengths);
    TravellingKeys<Space, T> travelling(ring, in.blocks.sequences * in.blocks.kv_heads * in.blocks.head_dim,
                                        {in.keys, in.values}, scratch);
    for (int step = 0; step < ring.steps(); ++step) {
      if (ring.steps() > 1) gshard::detail::fence<Space>("gshard: local work before communication");
      travelling.start(step + 1);
      if (ring.arrives(step)) {
        in.blocks.keys = ring.keys(ring.place(step));
        in.keys = travelling.current().keys;
        in.values = travelling.current().values;
        record_work(queries, in.blocks, "dot_product_attention", 4);
        dot_product_attention<Space, T>(in, sums, log_sums.data(), step == 0);
      }
      travelling.finish(step + 1);
    }
    if constexpr (gshard::detail::is_rounded<T>)
      gshard::detail::convert_elements<Space>(result.data(), static_cast<Number const*>(sums), result.local_size());
    return WithResiduals{result, log_sums};
  }

  /// Adds a gradient of keys or values: an unreduced sum where ranks that share heads of keys split those of queries.
  template <class Gradient, AnyTensor Part>
  static void add_keys_gradient(Gradient const& gradient, Part const& part) {
    if constexpr (is_wanted<Gradient>) {
      if constexpr (Part::layout.partial.empty()) gradient.add(part);
      else gradient.add_part(part);
    }
  }
};

}  // namespace detail

/// Returns attention (G, N, L, H, D) of queries (G, N, L, H, D) to keys and values (G, N, K, J, D), without a matrix of
/// scores: y[g, n, i, h] = sum_j softmax_j(scale * q[g, n, i, h] . k[g, n, j, h / (H / J)]) v[g, n, j, h / (H / J)].
/// - J divides H: grouped queries (GQA), one head of keys for H / J of queries; J = 1 is multi-query attention (MQA).
/// - The sum is over the keys that query i sees: the first `key_lengths` (G, N) of int of its sequence (all if a length
///   is above K, none if it is not positive), and those that `options` leaves. Causal masking counts queries and keys
///   from position 0, also if L and K differ, as `is_causal` of PyTorch and JAX. Other keys and values are not read,
///   and their gradients are 0. A query that sees no key gets 0, and its gradient is 0. Queries have no lengths: where
///   their padding may hold NaN, set it to 0 by zero_padding_by_lengths.
/// - Layouts: the result is placed as the queries. G, L and H may be split. Keys and values are split as the queries, K
///   as L, J as H or whole; key lengths as G. N and D are whole. Blocks may be uneven or empty.
/// - Context parallelism: if p ranks split L and K, blocks of keys and values travel around them (ring attention, arXiv
///   2310.01889). A rank holds two blocks beside its own. The gradients of keys and values travel with their blocks.
/// - Communication: 2 permutes over the axes of L in each of p - 1 steps, of one block of keys and one of values.
/// Blocks
///   do not travel beyond the queries that see them by masking and window. In the backward pass the same again, and as
///   much for the gradients, in float for BFloat16. If J is whole and H is split, the gradients of keys and values are
///   unreduced sums over the axes of H.
/// - The order of additions depends on the mesh, not on timing.
/// Throws StateError, MeshError or ExtentError if the operands do not fit each other, or heads of queries and the heads
/// of keys that they read are on different ranks. Throws OptionError unless scale is finite and window at least 1.
/// Source: FlashAttention (arXiv 2205.14135), FlashAttention-2 (arXiv 2307.08691).
template <TensorOperand Q, TensorOperand K, TensorOperand V, TensorOperand Lengths>
auto dot_product_attention(Q&& queries, K&& keys, V&& values, Lengths&& key_lengths,
                           AttentionOptions const& options = {}) {
  return Differentiable(detail::DotProductAttention{options})(
      std::forward<Q>(queries), std::forward<K>(keys), std::forward<V>(values), std::forward<Lengths>(key_lengths));
}

}  // namespace gshard::nn
