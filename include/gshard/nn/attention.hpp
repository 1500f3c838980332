// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/options.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/index/split_dimension.hpp>
#include <gshard/nn/attention_cache.hpp>
#include <gshard/nn/attention_weights.hpp>
#include <gshard/nn/axes.hpp>
#include <gshard/nn/dropout.hpp>
#include <gshard/nn/head_size.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/parallelism.hpp>
#include <gshard/nn/zero_padding.hpp>

namespace gshard::nn {

namespace detail {

/// The layout of scores (G, N, H, L, K), K whole, from that of queries (G, N, L, H, D).
constexpr Layout scores_layout(Layout const& queries) {
  Layout layout;
  for (int const d : {0, 1, 3, 2}) layout.dimensions.push_back(queries.dimensions[d]);
  layout.dimensions.push_back({});
  return layout;
}

/// Returns keys (G, N * K, M) or (G, N, K, M) with padding set to 0, under the node of the keys themselves, so that all
/// their gradients are reduced together: that of padding, whose weights are 0, is 0.
template <class K, AnyTensor Lengths>
K words_of(K const& keys, Lengths const& lengths) {
  if constexpr (AnyVar<K>) return K(keys.tape(), keys.node(), words_of(keys.value(), lengths));
  else return zeroed_by_lengths("attention", keys, lengths);
}

template <class Q>
using ScoresSpec = spec_of<typename ValueTensor<Q>::mesh_type, scores_layout(ValueTensor<Q>::layout)>;

}  // namespace detail

/// Multi-head attention (paper 2.1) within sentences: tokens are (G, S, M) with S = N * L, N sentences of L places one
/// after the other, of which the first ones are words and the rest padding; or (G, N, L, M), where axes may split the
/// places L: then keys and values are gathered over these axes, and their gradients reduce-scattered. H heads of D
/// numbers: of M / H unless `head_size` says otherwise, as in the paper, where 16 heads of 128 make 2048 of M = 1024
/// (A.2). The axes of the model split the heads: one all-reduce over them of the result, and one of each input's
/// gradient; the weights are gathered over the axes of the parameters.
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct Attention {
  static constexpr AxisNames pieces = detail::names_without(Parallelism::parameters, Parallelism::model);
  using In = ShardedTensor<Mesh, Spec<pieces, Parallelism::model, _>, T, MemorySpace>;
  using Out = ShardedTensor<Mesh, Spec<Parallelism::model, _, pieces>, T, MemorySpace>;
  Parameter<In> wq;   ///< (M, H, D)
  Parameter<In> wk;   ///< (M, H, D)
  Parameter<In> wv;   ///< (M, H, D)
  Parameter<Out> wo;  ///< (H, D, M)

  /// Throws OptionError unless the numbers are 1 or more, and without a `head_size` the heads divide the model.
  Attention(Mesh const& mesh, Initializer& initializer, std::int64_t model, std::int64_t heads,
            std::optional<std::int64_t> head_size = {})
      : Attention(mesh, initializer, Shape{model, heads, detail::head_size_of(model, heads, head_size)}) {}

  /// Returns what each place of `queries`, (G, N * L, M) or (G, N, L, M), finds in the places of `keys`, (G, N * K, M)
  /// or (G, N, K, M), of its own sentence; under causal masking in those up to its own. In training weights may be
  /// dropped.
  /// - `key_lengths` (G, N) counts the words of the keys; what stands behind them is left out. Queries have no lengths:
  ///   where their padding may hold NaN, set it to 0 by zero_padding_by_lengths.
  /// - Throws ExtentError where the groups or sentences of the three differ, OptionError for a rate outside [0, 1).
  template <TensorOperand Q, TensorOperand K, AnyTensor Lengths>
  auto operator()(Q&& queries, K&& keys, Lengths const& key_lengths, Masking masking, double dropout_rate = 0,
                  std::optional<RandomStream> random = {}) {
    auto const& from = gshard::detail::evaluated(std::forward<Q>(queries));
    auto const& to = gshard::detail::evaluated(std::forward<K>(keys));
    detail::require_lengths_of("attention", "key_lengths", key_lengths, "keys", detail::value_of(to));
    detail::require_lengths_of("attention", "key_lengths", key_lengths, "queries", detail::value_of(from));
    gshard::detail::require_rate("dropout rate", dropout_rate);
    std::int64_t const sentences = key_lengths.extent(1);
    // A weight of 0 does not leave padding out: 0 * NaN is NaN.
    auto const words = detail::words_of(to, key_lengths);
    auto const q = heads(from, bind(wq, from, to), sentences);
    auto const k = heads(words, bind(wk, from, to), sentences);
    auto const v = heads(words, bind(wv, from, to), sentences);
    double const scale = 1 / std::sqrt(static_cast<double>(wq.value.extent(2)));
    auto const scores = shard<detail::ScoresSpec<decltype(q)>>(einsum<"gnlhd,gnkhd->gnhlk">(q, movable(k)));
    auto const weights = dropout(attention_weights(scores, key_lengths, scale, masking), dropout_rate, random);
    auto const mixed = shard<detail::SpecOf<decltype(q)>>(einsum<"gnhlk,gnkhd->gnlhd">(weights, movable(v)));
    auto const& out = bind(wo, from, to);
    if constexpr (detail::ValueTensor<Q>::rank == 3)
      return shard<detail::SpecOf<Q>>(einsum<"gshd,hdm->gsm">(merge_dimensions<1>(mixed), movable(out)));
    else return shard<detail::SpecOf<Q>>(einsum<"gnlhd,hdm->gnlm">(mixed, movable(out)));
  }

  /// Returns keys and values of all places of `x` (G, N * K, M), N sentences, for queries to come. Throws ExtentError
  /// where N does not divide the places.
  template <AnyTensor X>
  auto cache(X const& x, std::int64_t sentences) {
    gshard::detail::require_one_mesh("attention cache", {{"wk", wk.value}, {"x", x}});
    if (sentences < 1 || x.extent(1) % sentences != 0)
      throw ExtentError(gshard::detail::concat("attention cache: ", sentences,
                                               " sentences do not divide dimension 1 of x ",
                                               gshard::detail::text_of(x.extents())));
    auto const keys = heads(x, wk.value, sentences);
    return AttentionCache<std::remove_const_t<decltype(keys)>>{keys, heads(x, wv.value, sentences)};
  }

  /// Adds the newest place of each sentence, `x` (G, N, M), to a cache.
  template <class Places, AnyTensor X, AnyTensor Real>
  void remember(AttentionCache<Places> const& cache, std::int64_t place, X const& x, Real const& real) {
    nn::remember(cache, place, eval(einsum<"gsm,mhd->gshd">(x, movable(wk.value))),
                 eval(einsum<"gsm,mhd->gshd">(x, movable(wv.value))), real);
  }

  /// The newest place of each sentence, `queries` (G, N, M), looks at places in a cache.
  template <AnyTensor Q, class Places, AnyTensor Real>
  auto operator()(Q const& queries, AttentionCache<Places> const& cache, Real const& real,
                  detail::CachedPlaces<MemorySpace> const& cached) {
    auto const mixed = attend_cached(eval(einsum<"gsm,mhd->gshd">(queries, movable(wq.value))), cache, real, cached);
    return shard<detail::SpecOf<Q>>(einsum<"gshd,hdm->gsm">(mixed, movable(wo.value)));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(wq);
    visit(wk);
    visit(wv);
    visit(wo);
  }

 private:
  /// x times a projection, (G, N, L, H, D).
  template <class X, class Projection>
  static auto heads(X const& x, Projection const& projection, std::int64_t sentences) {
    if constexpr (detail::ValueTensor<X>::rank == 3)
      return split_dimension<1>(eval(einsum<"gsm,mhd->gshd">(x, movable(projection))), sentences);
    else return eval(einsum<"gnlm,mhd->gnlhd">(x, movable(projection)));
  }

  struct Shape {
    std::int64_t model;
    std::int64_t heads;
    std::int64_t head_size;
  };

  Attention(Mesh const& mesh, Initializer& initializer, Shape const& shape)
      : wq(projection(mesh, initializer, shape, "attention wq")),
        wk(projection(mesh, initializer, shape, "attention wk")),
        wv(projection(mesh, initializer, shape, "attention wv")),
        wo(initializer.normal<Out>(mesh, {shape.heads, shape.head_size, shape.model},
                                   1 / std::sqrt(static_cast<double>(shape.heads * shape.head_size)), "attention wo")) {
  }

  static Parameter<In> projection(Mesh const& mesh, Initializer& initializer, Shape const& shape, char const* name) {
    return initializer.normal<In>(mesh, {shape.model, shape.heads, shape.head_size},
                                  1 / std::sqrt(static_cast<double>(shape.model)), name);
  }
};

}  // namespace gshard::nn
