// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/expr/arithmetic.hpp>

namespace gshard {

/// Adds an expression of the same layout, or one that broadcasts to it, to the elements of `y`, as one kernel. All
/// handles of `y` see it.
template <AnyTensor Tensor, Expression Operand>
Tensor const& operator+=(Tensor const& y, Operand const& x) {
  assign(y, y + x);
  return y;
}

/// Subtracts such an expression from the elements of `y`, as one kernel.
template <AnyTensor Tensor, Expression Operand>
Tensor const& operator-=(Tensor const& y, Operand const& x) {
  assign(y, y - x);
  return y;
}

/// Multiplies the elements of `y` by a number.
template <AnyTensor Tensor, detail::Number Factor>
Tensor const& operator*=(Tensor const& y, Factor factor) {
  assign(y, factor * y);
  return y;
}

}  // namespace gshard
