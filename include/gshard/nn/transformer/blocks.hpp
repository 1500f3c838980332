// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <vector>

#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/recompute.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/nn/attention.hpp>
#include <gshard/nn/dropout.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/transformer/options.hpp>

// The blocks of a Transformer, and what runs through them.

namespace gshard::nn::detail {

/// What runs through the blocks of one pass: the random numbers of gates and dropout (none in inference), and the
/// balance losses that the gates leave.
template <class Loss>
struct Pass {
  std::optional<RandomUses> random{};
  DropoutRates rates{};
  std::vector<Loss> balance_losses{};

  /// Random numbers for one use.
  std::optional<RandomStream> draw() {
    if (!random) return {};
    return random->next();
  }

  template <class X>
  auto drop(X const& x, double rate) {
    return rate > 0 ? dropout(x, rate, draw()) : x;
  }

  /// x and what a layer adds to it.
  template <class X, class Added>
  auto residual(X const& x, Added const& added) {
    return eval(x + drop(added, rates.residual));
  }

  /// Attention in training.
  template <class Layer, class Q, class K, AnyTensor Lengths>
  auto attend(Layer& attention, Q const& queries, K const& keys, Lengths const& lengths, Masking masking) {
    if (rates.attention > 0) return attention(queries, keys, lengths, masking, rates.attention, draw());
    return attention(queries, keys, lengths, masking);
  }
};

/// The inner layer of a block: a feed-forward layer, or a mixture of experts.
template <class Inner, class X, AnyTensor Real, class Loss>
auto run_inner(Inner& layer, X const& x, Real const& real, Pass<Loss>& pass) {
  if constexpr (std::is_invocable_v<Inner&, X const&>) {
    return layer(x);
  } else {
    auto const result = layer(x, real, pass.draw());
    pass.balance_losses.push_back(result.balance_loss);
    return result.output;
  }
}

/// x + f(norm(x)) of self-attention, of attention to a memory in a decoder, and of the inner layer (paper 2.1, norms
/// first).
template <class Norm, class Attention, class Inner>
struct EncoderBlock {
  using inner_type = Inner;
  Norm attention_norm;
  Attention attention;
  Norm inner_norm;
  Inner inner;

  template <class X, class Side, class Loss>
  auto operator()(X const& x, Side const& side, Pass<Loss>& pass) {
    auto const normed = attention_norm(x);
    auto const attended = pass.residual(x, pass.attend(attention, normed, normed, side.lengths, Masking::none));
    return pass.residual(attended, run_inner(inner, inner_norm(attended), side.real, pass));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    attention_norm.for_each_parameter(visit);
    attention.for_each_parameter(visit);
    inner_norm.for_each_parameter(visit);
    inner.for_each_parameter(visit);
  }
};

template <class Norm, class Attention, class Inner>
struct DecoderBlock {
  using inner_type = Inner;
  Norm self_norm;
  Attention self_attention;
  Norm cross_norm;
  Attention cross_attention;
  Norm inner_norm;
  Inner inner;

  template <class X, class Memory, class Source, class Side, class Loss>
  auto operator()(X const& x, Memory const& memory, Source const& source, Side const& side, Pass<Loss>& pass) {
    auto const normed = self_norm(x);
    auto const attended = pass.residual(x, pass.attend(self_attention, normed, normed, side.lengths, Masking::causal));
    auto const informed = pass.residual(
        attended, pass.attend(cross_attention, cross_norm(attended), memory, source.lengths, Masking::none));
    return pass.residual(informed, run_inner(inner, inner_norm(informed), side.real, pass));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    self_norm.for_each_parameter(visit);
    self_attention.for_each_parameter(visit);
    cross_norm.for_each_parameter(visit);
    cross_attention.for_each_parameter(visit);
    inner_norm.for_each_parameter(visit);
    inner.for_each_parameter(visit);
  }
};

/// A block with what it takes beside activations, by value: run again, it draws the same random numbers, and leaves in
/// `after` how many uses there were.
template <AnyTensor Scalar, class Block, class... Sides>
struct RepeatableBlock {
  Block* block;
  std::optional<RandomUses> random;
  DropoutRates rates;
  std::tuple<Sides...> sides;
  std::shared_ptr<std::optional<RandomUses>> after = std::make_shared<std::optional<RandomUses>>();

  template <class X, class... Memory>
  auto operator()(X const& x, Memory const&... memory) const {
    Pass<std::conditional_t<AnyVar<X>, Var<Scalar>, Scalar>> pass{random, rates};
    auto const result =
        gshard::detail::call_with(sides, [&](auto const&... side) { return (*block)(x, memory..., side..., pass); });
    *after = pass.random;
    if constexpr (std::is_invocable_v<typename Block::inner_type&, X const&>) return std::tuple(result);
    else return std::tuple(result, pass.balance_losses.front());
  }
};

/// A block of activations (x, and a memory in a decoder), run again in the backward pass where `again` says so.
template <class Block, class Loss, class... Sides, class... X>
auto run_block(Block& block, bool again, Pass<Loss>& pass, std::tuple<Sides...> const& sides, X const&... x) {
  if constexpr (AnyVar<Loss>) {
    if (again) {
      RepeatableBlock<ValueTensor<Loss>, Block, Sides...> const repeatable{&block, pass.random, pass.rates, sides};
      auto const results = recompute(repeatable, x...);
      pass.random = *repeatable.after;
      if constexpr (AnyVar<decltype(results)>) {
        return results;
      } else {
        pass.balance_losses.push_back(std::get<1>(results));
        return std::get<0>(results);
      }
    }
  }
  return gshard::detail::call_with(sides, [&](auto const&... side) { return block(x..., side..., pass); });
}

}  // namespace gshard::nn::detail
