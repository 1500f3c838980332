// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/tape.hpp>
#include <gshard/reduce/cumulative_sum.hpp>

namespace gshard {

/// cumulative_sum of a recorded tensor; the gradient is the cumulative sum of that of the result from the last element
/// to the first, with the same communication.
template <int Dimension, AnyTensor Tensor>
Var<Tensor> cumulative_sum(Var<Tensor> const& x, Scan scan = Scan::inclusive) {
  return x.tape().record(cumulative_sum<Dimension>(x.value(), scan),
                         [slot = x.slot(), scan](Cotangent<Tensor> const& gradient) {
                           slot.add(detail::scanned<Dimension>(gradient, scan, true));
                         });
}

}  // namespace gshard
