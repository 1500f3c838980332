// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/autodiff/tape.hpp>
#include <gshard/reshard/between_meshes.hpp>

namespace gshard {

/// reshard of a recorded tensor. As a map of whole tensors it is the identity, so its gradient is the reshard back: of
/// an all-reduce it is nothing, of a slice an all-gather, of an all-gather a slice, of an all-to-all the opposite one.
template <class To, AnyVar X>
auto reshard(X&& x) {
  using Tensor = typename std::remove_cvref_t<X>::tensor_type;
  Tape& tape = x.tape();
  tape.require_unrun();
  auto const slot = x.slot();
  return tape.record(reshard<To>(std::forward<X>(x).value()), [slot](Cotangent<Resharded<Tensor, To>> const& gradient) {
    slot.add(detail::reshard_or_share<typename Cotangent<Tensor>::spec_type>(gradient));
  });
}

/// reshard of a recorded tensor to another mesh; its gradient goes back to the mesh that it came from.
template <class To, AnyVar X, class... Axes>
auto reshard(X&& x, Mesh<Axes...> const& mesh) {
  using Tensor = typename std::remove_cvref_t<X>::tensor_type;
  Tape& tape = x.tape();
  tape.require_unrun();
  auto const slot = x.slot();
  auto const back = x.value().mesh();
  auto const result = reshard<To>(std::forward<X>(x).value(), mesh);
  return tape.record(result, [slot, back](Cotangent<std::remove_const_t<decltype(result)>> const& gradient) {
    slot.add(reshard<typename Cotangent<Tensor>::spec_type>(gradient, back));
  });
}

template <class To, AnyVar X>
auto shard(X&& x) {
  return reshard<To>(std::forward<X>(x));
}

template <AnyVar X>
auto replicate(X&& x) {
  return reshard<typename decltype(replicate(x.value()))::spec_type>(std::forward<X>(x));
}

template <int Dimension, AxisNames Names, AnyVar X>
auto split(X&& x) {
  return reshard<typename decltype(split<Dimension, Names>(x.value()))::spec_type>(std::forward<X>(x));
}

}  // namespace gshard
