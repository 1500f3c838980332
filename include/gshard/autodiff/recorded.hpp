// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/tape.hpp>
#include <gshard/core/error.hpp>
#include <gshard/tensor/unevaluated.hpp>

// Operands that are recorded or not: what operations ask of either.

namespace gshard {

namespace detail {

/// Satisfied by recorded tensors, and by operations on them that have not run.
template <class Type>
concept Recorded = requires { requires std::remove_cvref_t<Type>::is_recorded; };

/// Returns where the gradient of an operand is collected.
template <class Operand>
auto gradient_of(Operand const& operand) {
  if constexpr (has_gradient<Operand>)
    return OperandGradient<typename Operand::tensor_type>(operand.tape(), operand.node());
  else return NoGradient{};
}

/// Returns an operand, by reference; the result of an operation that has not run, whose name is refused.
template <class Operand>
decltype(auto) evaluated(Operand&& operand) {
  if constexpr (Unevaluated<Operand>) return eval(std::forward<Operand>(operand));
  else return std::forward<Operand>(operand);
}

/// Returns the tensor of an operand, recorded or not; other operands, such as numbers, as they are.
template <class Operand>
Operand const& value_of(Operand const& operand) {
  return operand;
}
template <AnyTensor Tensor, bool HasGradient>
Tensor const& value_of(Var<Tensor, HasGradient> const& var) {
  return var.value();
}

/// Type of the tensor of an operand, recorded or not, evaluated or not.
template <class Operand>
using ValueTensor = std::remove_cvref_t<decltype(value_of(evaluated(std::declval<Operand>())))>;

/// Takes the tape of one more operand into account. Throws StateError if it is not the tape of those before.
inline void join_tape(Tape*& tape, Tape& own) {
  if (tape != nullptr && tape != &own)
    throw StateError("two operands are recorded on two Tapes; record both on one, or take the value() of one");
  tape = &own;
}

/// Returns the tape of the recorded operands. Precondition: there is one. Throws StateError if there are two tapes.
template <class... Operands>
Tape& tape_of(Operands const&... operands) {
  Tape* tape = nullptr;
  auto join = [&]<class Operand>(Operand const& operand) {
    if constexpr (AnyVar<Operand>) join_tape(tape, operand.tape());
  };
  (join(operands), ...);
  return *tape;
}

}  // namespace detail

/// Satisfied by what operations take as a tensor: a tensor, recorded or not, or an operation that has not run.
template <class Type>
concept TensorOperand = TensorOrVar<Type> || Unevaluated<Type>;

/// Returns a parameter as an operand of a layer: recorded if any of the layer's `operands` is recorded, on its tape;
/// else its plain value, so that one layer serves training and inference. Does not compile if an operand is an
/// operation that has not run (error::NotEvaluatedYet).
template <AnyTensor Tensor, class... Operands>
decltype(auto) bind(Parameter<Tensor>& parameter, Operands const&... operands) {
  if constexpr ((Unevaluated<Operands> || ...))
    using Refused [[maybe_unused]] = decltype(error::NotEvaluatedYet<std::tuple<Operands...>>{});
  if constexpr ((AnyVar<Operands> || ...)) return detail::tape_of(operands...).watch(parameter);
  else return static_cast<Tensor const&>(parameter.value);
}
template <AnyTensor Tensor, class... Operands>
Tensor const& bind(Parameter<Tensor> const& parameter, Operands const&...) {
  using Refused [[maybe_unused]] = decltype(error::GradientOfConstParameter<typename Tensor::spec_type>{});
  return parameter.value;
}

}  // namespace gshard
