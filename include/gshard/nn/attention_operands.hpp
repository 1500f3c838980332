// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <gshard/core/compile_error.hpp>
#include <gshard/core/options.hpp>
#include <gshard/nn/attention_weights.hpp>
#include <gshard/nn/kernels/dot_product_attention.hpp>
#include <gshard/nn/operation.hpp>

// Options and operands of dot_product_attention: what is checked, and where their blocks lie.

namespace gshard {

namespace error {

template <class Q, class K, class V, class Lengths>
struct AttentionOperands {
  static_assert(
      always_false<Q>,
      "gshard: dot_product_attention takes queries (G, N, L, H, D), keys and values (G, N, K, J, D) of the same elements, and key lengths (G, N) of int, all on one type of mesh and memory; give it these");
};

template <class Q, class K, class V>
struct AttentionOfPartial {
  static_assert(
      always_false<Q>,
      "gshard: dot_product_attention is not linear in queries, keys and values; reduce the partial tensor first");
};

template <class Q>
struct AttentionRowsSplit {
  static_assert(
      always_false<Q>,
      "gshard: dot_product_attention works on whole heads and all sequences of a group; reshard so that N and D are `_`");
};

template <class Q, class K, class V>
struct AttentionKeysSplit {
  static_assert(
      always_false<Q>,
      "gshard: dot_product_attention takes keys and values (G, N, K, J, D) split as the queries (G, N, L, H, D), J as H or whole; reshard them so");
};

template <class Q, class Lengths>
struct AttentionLengthsSplit {
  static_assert(
      always_false<Q>,
      "gshard: dot_product_attention reads the key lengths of its own groups; reshard the key lengths so that G is split as that of the queries, N whole");
};

}  // namespace error

namespace nn {

/// Options of dot_product_attention.
struct AttentionOptions {
  /// Factor of the scores; 1 / sqrt(D) if absent.
  std::optional<double> scale{};
  /// Causal: query i sees keys j <= i.
  Masking masking = Masking::none;
  /// Sliding window: query i sees keys i - window < j <= i only, with either masking. At least 1; no window if absent.
  std::optional<std::int64_t> window{};
};

namespace detail {

/// Whether keys (G, N, K, J, D) are split as queries (G, N, L, H, D), the heads J as H or whole.
constexpr bool are_keys_split_as(Layout const& keys, Layout const& queries) {
  for (int d = 0; d < 5; ++d)
    if (keys.dimensions[d] != queries.dimensions[d] && !(d == 3 && keys.dimensions[d].empty())) return false;
  return true;
}

/// Returns the first mistake in the types of the operands, or void.
template <AnyTensor Q, AnyTensor K, AnyTensor V, AnyTensor Lengths>
consteval auto attention_mistake() {
  using T = typename Q::value_type;
  using Space = typename Q::memory_space;
  using Mesh = typename Q::mesh_type;
  constexpr bool are_operands =
      Q::rank == 5 && Lengths::rank == 2 && std::is_same_v<K, ShardedTensor<Mesh, typename K::spec_type, T, Space>> &&
      std::is_same_v<V, ShardedTensor<Mesh, typename V::spec_type, T, Space>> && K::rank == 5 && V::rank == 5 &&
      std::is_same_v<Lengths, ShardedTensor<Mesh, typename Lengths::spec_type, int, Space>>;
  if constexpr (!are_operands) {
    return std::type_identity<error::AttentionOperands<Q, K, V, Lengths>>{};
  } else {
    constexpr auto const& dimensions = Q::layout.dimensions;
    if constexpr (!(Q::layout.partial | K::layout.partial | V::layout.partial).empty())
      return std::type_identity<error::AttentionOfPartial<Q, K, V>>{};
    else if constexpr (!dimensions[1].empty() || !dimensions[4].empty())
      return std::type_identity<error::AttentionRowsSplit<Q>>{};
    else if constexpr (K::layout != V::layout || !are_keys_split_as(K::layout, Q::layout))
      return std::type_identity<error::AttentionKeysSplit<Q, K, V>>{};
    else if constexpr (!is_split_as<Lengths, Q>())
      return std::type_identity<error::AttentionLengthsSplit<Q, Lengths>>{};
    else return std::type_identity<void>{};
  }
}

/// Returns the layout of one number for each row of a tensor (..., D).
constexpr Layout layout_of_rows(Layout layout) {
  layout.dimensions.pop_back();
  return layout;
}

/// Type of one number for each row of queries, in the type that is computed with.
template <AnyTensor Q>
using RowNumbers = gshard::detail::Widened<with_layout<Q, layout_of_rows(Q::layout)>>;

/// Returns H / J: the heads of queries that share one head of keys.
template <AnyTensor Q, AnyTensor K>
std::int64_t heads_per_kv_head(Q const& queries, K const& keys) {
  return keys.extent(3) == 0 ? 1 : std::max<std::int64_t>(1, queries.extent(3) / keys.extent(3));
}

/// Returns the factor of the scores.
template <class Q>
double attention_scale(AttentionOptions const& options, Q const& queries) {
  return options.scale.value_or(1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, queries.extent(4)))));
}

/// Returns what queries see by masking and window. A window implies causal masking.
template <AnyTensor Q>
AttentionMask attention_mask(AttentionOptions const& options, Q const& queries) {
  std::int64_t const all = std::max<std::int64_t>(1, queries.extent(2));
  return {options.masking == Masking::causal || options.window.has_value(),
          std::min(all, options.window.value_or(all))};
}

/// Returns this rank's block of queries, and its own block of keys.
template <AnyTensor Q, AnyTensor K>
AttentionBlocks attention_blocks(AttentionOptions const& options, Q const& queries, K const& keys) {
  return {queries.local_extent(0) * queries.local_extent(1),
          queries.local_extent(3),
          keys.local_extent(3),
          queries.local_extent(4),
          heads_per_kv_head(queries, keys),
          queries.range(3).begin,
          keys.range(3).begin,
          queries.range(2),
          keys.range(2),
          attention_mask(options, queries)};
}

/// Throws ExtentError unless each rank has the heads of keys that its heads of queries read.
template <AnyTensor Q, AnyTensor K>
void require_heads_together(Q const& queries, K const& keys) {
  AxisList const& axes = K::layout.dimensions[3];
  gshard::detail::MeshState const& mesh = queries.mesh_state();
  std::int64_t const group = heads_per_kv_head(queries, keys);
  for (int member = 0; member < mesh.size(set_of(axes)); ++member) {
    auto const coordinates = mesh.member_coordinates(set_of(axes), member);
    Range const heads = gshard::detail::dimension_range(queries.extent(3), axes, mesh, coordinates);
    Range const kv_heads = gshard::detail::dimension_range(keys.extent(3), axes, mesh, coordinates);
    if (heads.begin != kv_heads.begin * group || heads.end != kv_heads.end * group)
      throw ExtentError(gshard::detail::concat("dot_product_attention: ", keys.extent(3), " heads of keys for ",
                                               queries.extent(3), " heads of queries are split unevenly over ",
                                               mesh.size(set_of(axes)), " ranks of mesh (", mesh.text(),
                                               "); give a multiple of these, or keys whose heads are whole"));
  }
}

/// Throws as dot_product_attention says. Communication: none.
template <AnyTensor Q, AnyTensor K, AnyTensor V, AnyTensor Lengths>
void check_attention(AttentionOptions const& options, Q const& queries, K const& keys, V const& values,
                     Lengths const& key_lengths) {
  char const* const operation = "dot_product_attention";
  gshard::detail::Operand const q("queries", queries), k("keys", keys), v("values", values);
  gshard::detail::require_one_mesh(operation, {q, k, v});
  for (int const d : {0, 1, 4}) gshard::detail::require_equal_extents(operation, k, d, q, d);
  gshard::detail::require_same_shape(operation, {k, v});
  require_rows_of(operation, "key_lengths", key_lengths, "queries", queries);
  std::int64_t const heads = queries.extent(3), kv_heads = keys.extent(3);
  if (kv_heads == 0 ? heads != 0 : heads % kv_heads != 0)
    throw ExtentError(gshard::detail::concat(operation, ": dimension 3 of ", text_of(q), " has to be a multiple of ",
                                             kv_heads, ", dimension 3 of ", text_of(k), place_of(q)));
  require_heads_together(queries, keys);
  gshard::detail::require_option(std::isfinite(attention_scale(options, queries)), "scale",
                                 attention_scale(options, queries), "a finite number");
  if (options.window) gshard::detail::require_at_least("window", *options.window, 1);
}

}  // namespace detail
}  // namespace nn
}  // namespace gshard
