// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/tape.hpp>
#include <gshard/index/sort.hpp>

namespace gshard {

namespace detail {

/// The elements of a recorded tensor at places of each row: the gradient goes back to them.
template <int Dimension, AnyTensor Tensor, AnyTensor Indices>
auto recorded_take_along(Var<Tensor> const& x, Indices const& places) {
  auto const result = take_along<Dimension>(x.value(), places);
  using Result = std::remove_const_t<decltype(result)>;
  return x.tape().record(result,
                         [slot = x.slot(), places, extents = x.value().extents()](Cotangent<Result> const& gradient) {
                           slot.add(put_along<Dimension, Cotangent<Tensor>>(gradient, places, extents));
                         });
}

}  // namespace detail

/// sort of a recorded tensor.
template <int Dimension, AnyTensor Tensor>
auto sort(Var<Tensor> const& x, Order order = Order::ascending) {
  return detail::recorded_take_along<detail::dimension_of<Dimension, Tensor::rank>>(
      x, argsort<Dimension>(x.value(), order));
}

/// top_k of a recorded tensor: its values are recorded.
template <int Dimension, AnyTensor Tensor>
auto top_k(Var<Tensor> const& x, std::int64_t count) {
  auto const places = top_k<Dimension>(x.value(), count).indices;
  auto const values = detail::recorded_take_along<detail::dimension_of<Dimension, Tensor::rank>>(x, places);
  return Ranked<std::remove_const_t<decltype(values)>, std::remove_const_t<decltype(places)>>{values, places};
}

}  // namespace gshard
