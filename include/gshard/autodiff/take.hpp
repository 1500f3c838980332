// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/recorded.hpp>
#include <gshard/index/take.hpp>

namespace gshard {

/// take of a recorded tensor; its gradient adds the slices where they were taken: an all-reduce over the axes that
/// split the indices.
template <int Dimension, AnyTensor Tensor, AnyTensor Indices>
auto take(Var<Tensor> const& x, Indices const& indices) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  auto const result = take<dimension>(x.value(), indices);
  using Result = std::remove_const_t<decltype(result)>;
  return x.tape().record(result,
                         [slot = x.slot(), indices, extents = x.value().extents()](Cotangent<Result> const& gradient) {
                           slot.add(detail::scattered<dimension, Cotangent<Tensor>>(extents, indices, gradient));
                         });
}

namespace detail {

template <int Dimension, class Slot, AnyTensor Gradient, AnyTensor Indices>
void vjp_updates(Slot const& slot, Gradient const& gradient, Indices const& indices) {
  if constexpr (wants_gradient<Slot>) {
    using Updates = Cotangent<typename Slot::tensor_type>;
    slot.add(reshard<typename Updates::spec_type>(take_held<Dimension>(gradient, indices)));
  }
}

}  // namespace detail

/// scatter_add of tensors of which one or both are recorded; the gradient of the updates takes theirs back.
template <int Dimension, class X, AnyTensor Indices, class Updates>
  requires(AnyTensor<X> || AnyVar<X>) && (AnyTensor<Updates> || AnyVar<Updates>) && (AnyVar<X> || AnyVar<Updates>)
auto scatter_add(X const& x, Indices const& indices, Updates const& updates) {
  auto const result = scatter_add<Dimension>(detail::value_of(x), indices, detail::value_of(updates));
  using Result = std::remove_const_t<decltype(result)>;
  constexpr int dimension = detail::dimension_of<Dimension, Result::rank>;
  auto const of_x = detail::slot_of(x);
  auto const of_updates = detail::slot_of(updates);
  return detail::tape_of(x, updates).record(result, [of_x, of_updates, indices](Cotangent<Result> const& gradient) {
    if constexpr (detail::wants_gradient<decltype(of_x)>) of_x.add(gradient);
    detail::vjp_updates<dimension>(of_updates, gradient, indices);
  });
}

}  // namespace gshard
