// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/tape.hpp>

namespace gshard {

/// reshard of a recorded tensor. As a map of whole tensors it is the identity, so its gradient is the reshard back: of an all-reduce it is nothing, of a
/// slice an all-gather, of an all-gather a slice, of an all-to-all the opposite one.
template <class To, AnyTensor Tensor>
Var<with_spec<Tensor, To>> reshard(Var<Tensor> const& x) {
  return x.tape().record(reshard<To>(x.value()), [slot = x.slot()](Cotangent<with_spec<Tensor, To>> const& gradient) {
    slot.add(reshard<typename Cotangent<Tensor>::spec_type>(gradient));
  });
}

template <class To, AnyTensor Tensor>
auto shard(Var<Tensor> const& x) {
  return reshard<To>(x);
}

template <AnyTensor Tensor>
auto replicate(Var<Tensor> const& x) {
  return reshard<typename decltype(replicate(x.value()))::spec_type>(x);
}

template <int Dimension, AxisNames Names, AnyTensor Tensor>
auto split(Var<Tensor> const& x) {
  return reshard<typename decltype(split<Dimension, Names>(x.value()))::spec_type>(x);
}

}  // namespace gshard
