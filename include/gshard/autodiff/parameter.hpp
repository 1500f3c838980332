// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/var.hpp>

namespace gshard {

/// Type in which the gradients of a parameter are added up over backward passes: as Cotangent, but float if the
/// parameter is BFloat16 (Megatron-LM's main_grad), so that small terms are not rounded away.
template <AnyTensor Tensor>
using ParameterGradient = detail::Widened<Cotangent<Tensor>>;

/// A tensor that is learned: its value, and the sum of the gradients that backward passes have left, if any.
template <AnyTensor Tensor>
struct Parameter {
  using tensor_type = Tensor;

  Tensor value;
  ParameterGradient<Tensor> gradient;

  bool has_gradient() const { return gradient.is_set(); }
  void clear_gradient() { gradient = {}; }
};

}  // namespace gshard
