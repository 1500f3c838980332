// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>
#include <type_traits>

#include <gshard/autodiff/tape.hpp>
#include <gshard/nn/kernels/views.hpp>
#include <gshard/tensor/record_kernel.hpp>

/// What the layers' operations share: each computes a tensor by a kernel and, where any of its operands is recorded,
/// leaves its gradient on the tape.
namespace gshard::nn::detail {

using gshard::detail::record_kernel;
using gshard::detail::slot_of;
using gshard::detail::value_of;
using gshard::detail::ValueTensor;
using gshard::detail::wants_gradient;

/// Records `result` where any of `operands`, as std::tie(x, gain, bias), is recorded, on the tape of the first one that
/// is; returns the plain `result` otherwise. `pullback(gradient)` adds to the slots of the recorded operands, and
/// computes no gradient for a slot that does not want one (`wants_gradient`). It is a generic function object: not
/// compiled for plain tensors.
template <class... Operands, AnyTensor Result, class Pullback>
auto recorded_beside(std::tuple<Operands const&...> const& operands, Result const& result, Pullback const& pullback) {
  if constexpr ((AnyVar<Operands> || ...)) {
    Tape& tape =
        std::apply([](auto const&... operand) -> Tape& { return gshard::detail::tape_of(operand...); }, operands);
    return tape.record(result, pullback);
  } else {
    return result;
  }
}

/// The same of an operation of one operand that may be recorded.
template <class Operand, AnyTensor Result, class Pullback>
auto recorded_beside(Operand const& operand, Result const& result, Pullback const& pullback) {
  return recorded_beside(std::tie(operand), result, pullback);
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
