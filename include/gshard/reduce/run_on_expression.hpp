// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/expr/expression.hpp>

namespace gshard::detail {

/// Runs `operation` on a pointwise operand: in the same pass over a plain expression, and recorded if the operand is.
/// `name` names the operation in messages. Throws StateError, MeshError or ExtentError if the tensors of the expression
/// do not belong together, StateError as Differentiable.
template <class Operation, class X>
auto run_on_expression(Operation const& operation, std::string_view name, X const& x) {
  if constexpr (Recorded<X>) return Differentiable(operation)(x);
  else return operation.forward(prepared(x, name));
}

}  // namespace gshard::detail
