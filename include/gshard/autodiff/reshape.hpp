// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/tape.hpp>
#include <gshard/index/reshape.hpp>
#include <gshard/tensor/reshape.hpp>

namespace gshard {

/// split_dimension of a recorded tensor; its gradient is merged again.
template <int Dimension, AnyTensor Tensor>
auto split_dimension(Var<Tensor> const& x, std::int64_t outer) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  auto const result = split_dimension<dimension>(x.value(), outer);
  return x.tape().record(result, [slot = x.slot()](Cotangent<std::remove_const_t<decltype(result)>> const& gradient) {
    slot.add(merge_dimensions<dimension>(gradient));
  });
}

/// merge_dimensions of a recorded tensor; its gradient is split again.
template <int Dimension, AnyTensor Tensor>
auto merge_dimensions(Var<Tensor> const& x) {
  constexpr int dimension = detail::dimension_of<Dimension, Tensor::rank>;
  auto const result = merge_dimensions<dimension>(x.value());
  return x.tape().record(result, [slot = x.slot(), before = x.value().extents()](
                                     Cotangent<std::remove_const_t<decltype(result)>> const& gradient) {
    slot.add(detail::split_into<dimension>(gradient, before[dimension], before[dimension + 1]));
  });
}

/// reshape of a recorded tensor; its gradient is reshaped back.
template <class To, AnyTensor Tensor>
auto reshape(Var<Tensor> const& x, Extents const& extents) {
  using Result = with_spec<Tensor, To>;
  return x.tape().record(reshape<To>(x.value(), extents),
                         [slot = x.slot(), before = x.value().extents()](Cotangent<Result> const& gradient) {
                           slot.add(reshape<typename Cotangent<Tensor>::spec_type>(gradient, before));
                         });
}

}  // namespace gshard
