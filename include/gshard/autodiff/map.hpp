// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>

#include <gshard/autodiff/tape.hpp>
#include <gshard/expr/functions.hpp>

namespace gshard {

namespace detail {

/// The gradient that `Function` passes to operand `Operand`: that of the result, times the derivative.
template <class Function, int Operand>
struct GradientOf : functions::NotLinear {
  template <class T, class... InputsAndResult>
  KOKKOS_FUNCTION T operator()(T gradient, InputsAndResult... values) const {
    return gradient * Function::template derivative<Operand>(values...);
  }
};

template <class Function>
concept UsesResultOnly = requires { requires Function::uses_result_only; };

template <class Function, int Operand>
concept PassesGradient = requires { requires Function::template passes_gradient<Operand>; };

template <class Operand>
auto plain_operand(Operand const& operand) {
  if constexpr (AnyVar<Operand>) return operand.value();
  else return materialized(operand);
}

/// Functions of unreduced sums are linear: their derivatives do not depend on values, and the gradient, which has the
/// right layout, stands in.
template <class Value, class Gradient>
auto or_stand_in(Value const& value, Gradient const& gradient) {
  if constexpr (AnyTensor<Value>) {
    if constexpr (!Value::layout.partial.empty()) return gradient;
    else return value;
  } else {
    return value;
  }
}

template <class Function, int Operand, class Gradient, class Result, class... Inputs>
auto gradient_of_map(Gradient const& gradient, Result const& result, Inputs const&... inputs) {
  if constexpr (PassesGradient<Function, Operand>) return gradient;
  else
    return eval(map(GradientOf<Function, Operand>{}, gradient, or_stand_in(inputs, gradient)...,
                    or_stand_in(result, gradient)));
}

template <class Function, int Operand, class Slot, class Gradient, class Result, class Inputs>
void pull_map(Slot const& slot, Gradient const& gradient, Result const& result, Inputs const& inputs) {
  if constexpr (wants_gradient<Slot>) {
    auto const own = std::apply(
        [&](auto const&... input) { return gradient_of_map<Function, Operand>(gradient, result, input...); }, inputs);
    using Element = typename std::tuple_element_t<Operand, Inputs>::value_type;
    if constexpr (std::is_same_v<typename std::remove_const_t<decltype(own)>::value_type, Element>) slot.add(own);
    else slot.add(eval(convert<Element>(own)));
  }
}

template <class Function, class Slots, class Gradient, class Result, class Inputs, std::size_t... Position>
void pull_maps(Slots const& slots, Gradient const& gradient, Result const& result, Inputs const& inputs,
               std::index_sequence<Position...>) {
  (pull_map<Function, static_cast<int>(Position)>(std::get<Position>(slots), gradient, result, inputs), ...);
}

/// Whether an operand is recorded: a Var, or an einsum of Vars that waits for its spec.
template <class Type>
concept Recorded = requires { requires std::remove_cvref_t<Type>::is_recorded; };

template <class Type>
concept RecordedMapOperand = MapOperand<Type> || Recorded<Type>;

/// The recorded operands as Vars.
template <class Operand>
auto as_var(Operand const& operand) {
  if constexpr (Recorded<Operand> && !AnyVar<Operand>) return operand.eval();
  else return operand;
}

/// A tensor that nobody else needs: the expression that takes it may write its result there.
template <AnyTensor Tensor>
struct Released {
  static constexpr bool is_deferred = true;
  mutable Tensor tensor;
  Tensor eval() const { return std::move(tensor); }
};

template <class Function, AnyVar Operand>
auto recorded_in_place(Function const& function, Operand operand) {
  Tape& tape = operand.tape();
  auto const slot = operand.slot();
  using Tensor = typename Operand::tensor_type;
  auto const result = eval(map(function, Released<Tensor>{std::move(operand).value()}));
  return tape.record(result, [slot, result](Cotangent<std::remove_const_t<decltype(result)>> const& gradient) {
    slot.add(gradient_of_map<Function, 0>(gradient, result, result));
  });
}

template <class Function, class... Operands>
auto recorded_map(Function const& function, Operands const&... operands) {
  auto const inputs = std::make_tuple(plain_operand(operands)...);
  auto const result = std::apply([&](auto const&... input) { return eval(map(function, input...)); }, inputs);
  using Result = std::remove_const_t<decltype(result)>;
  auto const slots = std::make_tuple(slot_of(operands)...);
  Tape& tape = tape_of(operands...);
  if constexpr (UsesResultOnly<Function>) {
    return tape.record(result, [slots, result](Cotangent<Result> const& gradient) {
      std::get<0>(slots).add(gradient_of_map<Function, 0>(gradient, result, result));
    });
  } else {
    return tape.record(result, [slots, inputs, result](Cotangent<Result> const& gradient) {
      pull_maps<Function>(slots, gradient, result, inputs, std::index_sequence_for<Operands...>{});
    });
  }
}

}  // namespace detail

/// `function` of tensors of which some are recorded: computed at once, and recorded; in place of an einsum's result
/// where the derivative does not look at it. The function has `derivative` (expr/functions.hpp).
template <class Function, detail::RecordedMapOperand... Operands>
  requires(detail::Recorded<Operands> || ...)
auto map(Function const& function, Operands const&... operands) {
  if constexpr (detail::UsesResultOnly<Function> && !(AnyVar<Operands> && ...))
    return detail::recorded_in_place(function, operands.eval()...);
  else return detail::recorded_map(function, detail::as_var(operands)...);
}

}  // namespace gshard
