// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/expr/expression.hpp>

namespace gshard::detail {

/// Runs `operation` on a pointwise operand: in the same pass over a plain expression, and recorded if the operand is.
/// `name` names the operation in messages. Throws StateError, MeshError or ExtentError if the tensors of the expression
/// do not belong together, StateError as Differentiable.
template <class Operation, class X>
auto run_on_expression(Operation const& operation, std::string_view name, X&& x) {
  if constexpr (Recorded<X>) return Differentiable(operation)(std::forward<X>(x));
  else return result_of(operation.forward(prepared(std::forward<X>(x), name)));
}

}  // namespace gshard::detail
