// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <gshard/autodiff/tape.hpp>
#include <gshard/nn/kernels/views.hpp>
#include <gshard/tensor/record_kernel.hpp>

/// What the layers' operations share: each computes a tensor by a kernel and, where its input is recorded, leaves its
/// gradient on the tape.
namespace gshard::nn::detail {

using gshard::detail::record_kernel;
using gshard::detail::slot_of;
using gshard::detail::value_of;
using gshard::detail::ValueTensor;
using gshard::detail::wants_gradient;

/// `result`, recorded on the tape of `x` where `x` is recorded. `pull` is a generic function object: it is not compiled
/// for plain tensors.
template <class X, AnyTensor Result, class Pull>
auto recorded_beside(X const& x, Result const& result, Pull const& pull) {
  if constexpr (AnyVar<X>) return x.tape().record(result, pull);
  else return result;
}

/// The spec of an operand, recorded or not.
template <class X>
using SpecOf = typename ValueTensor<X>::spec_type;

/// A tensor like `like`, elements unset.
template <AnyTensor Tensor>
Tensor unset_like(Tensor const& like) {
  return Tensor(uninitialized, like.mesh(), like.extents());
}

/// This rank's block as rows of the last dimension.
template <AnyTensor Tensor>
auto rows_of(Tensor const& tensor) {
  auto const columns = static_cast<std::size_t>(tensor.local_extent(Tensor::rank - 1));
  std::size_t rows = 1;
  for (int d = 0; d + 1 < Tensor::rank; ++d) rows *= static_cast<std::size_t>(tensor.local_extent(d));
  return Rank2<typename Tensor::value_type, typename Tensor::memory_space>(tensor.data(), rows, columns);
}

/// This rank's block in a row.
template <AnyTensor Tensor>
auto row_of(Tensor const& tensor) {
  return Rank1<typename Tensor::value_type, typename Tensor::memory_space>(
      tensor.data(), static_cast<std::size_t>(tensor.local_size()));
}

constexpr Layout with_partial(Layout layout, AxisSet axes) {
  layout.partial |= axes;
  return layout;
}

/// The type of what each rank's tokens add to the gradient of a replicated parameter: a sum over the axes that split
/// the tokens.
template <AnyTensor Value, AnyTensor Tokens>
using GradientPart = with_layout<Value, with_partial(Value::layout, Tokens::layout.split())>;

}  // namespace gshard::nn::detail
