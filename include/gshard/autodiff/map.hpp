// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/expr/functions.hpp>

namespace gshard {

namespace error {

template <class Function, int Operand>
struct FunctionWithoutDerivative {
  static_assert(
      always_false<Function>,
      "gshard: a pointwise function of a recorded tensor has no derivative for that operand (0 is the first); add "
      "`template <int Operand, class T> static T derivative(T x, T result)` to the function, or take "
      "x.value(), which is not recorded");
};

}  // namespace error

namespace detail {

/// The gradient that `Function` passes to operand `Operand`: that of the result, times the derivative. A function that
/// is linear in unreduced sums has a derivative that is linear in them, too, and is applied to their parts (`InParts`).
template <class Function, int Operand, bool InParts = false>
struct GradientOf {
  template <bool...>
  static constexpr bool is_linear = InParts;
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

/// Functions of unreduced sums are linear: the derivatives for the sums do not depend on these, and the gradient, which
/// has the right layout, stands in.
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

/// The same for a whole operand beside unreduced sums: itself an unreduced sum, since each rank has its part of them.
template <class Function, int Operand, class Gradient, class Result, class... Inputs>
auto gradient_in_parts(Gradient const& gradient, Result const& result, Inputs const&... inputs) {
  return eval(map(GradientOf<Function, Operand, true>{}, gradient, inputs..., result));
}

template <class Function, int Operand, class Slot, class Gradient, class Result, class Inputs>
void vjp_map(Slot const& slot, Gradient const& gradient, Result const& result, Inputs const& inputs) {
  if constexpr (wants_gradient<Slot>) {
    using Tensor = std::tuple_element_t<Operand, Inputs>;
    constexpr bool in_parts = Tensor::layout.partial.empty() && !Result::layout.partial.empty();
    auto const own = call_with(inputs, [&](auto const&... input) {
      if constexpr (in_parts) return gradient_in_parts<Function, Operand>(gradient, result, input...);
      else return gradient_of_map<Function, Operand>(gradient, result, input...);
    });
    using Element = typename Tensor::value_type;
    auto add = [&](auto const& converted) {
      if constexpr (in_parts) slot.add_part(converted);
      else slot.add(converted);
    };
    if constexpr (std::is_same_v<typename std::remove_const_t<decltype(own)>::value_type, Element>) add(own);
    else add(eval(convert<Element>(own)));
  }
}

template <class Function, class Slots, class Gradient, class Result, class Inputs, std::size_t... Position>
void vjp_maps(Slots const& slots, Gradient const& gradient, Result const& result, Inputs const& inputs,
              std::index_sequence<Position...>) {
  (vjp_map<Function, static_cast<int>(Position)>(std::get<Position>(slots), gradient, result, inputs), ...);
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

/// An operand without its history, and computed.
template <class Operand>
using PlainOf = decltype(plain_operand(as_var(std::declval<Operand const&>())));

/// Whether `Function` has a derivative with respect to operand `Operand`, called with the values of the operands and
/// the result.
template <class Function, int Operand, class Result, class... Values>
concept HasDerivative = PassesGradient<Function, Operand> || requires(Values... values, Result result) {
  Function::template derivative<Operand>(values..., result);
};

/// The mistake of a function without a derivative for a recorded operand; void for none.
template <class Function, class Operands, class Plain, class Positions>
struct DerivativeMistakeOf;
template <class Function, class... Operands, class... Plain, std::size_t... Position>
struct DerivativeMistakeOf<Function, std::tuple<Operands...>, std::tuple<Plain...>, std::index_sequence<Position...>> {
  using Result = std::remove_cvref_t<std::invoke_result_t<Function const&, ValueOf<Plain>...>>;
  using type = typename FirstMistake<std::conditional_t<
      !Recorded<Operands> || HasDerivative<Function, static_cast<int>(Position), Result, ValueOf<Plain>...>, void,
      error::FunctionWithoutDerivative<Function, static_cast<int>(Position)>>...>::type;
};

template <class Function, class... Operands>
struct RecordedMapMistakeOf {
  using map_mistake = MapMistake<Function, PlainOf<Operands>...>;
  static constexpr auto find() {
    if constexpr (std::is_void_v<map_mistake>)
      return DerivativeMistakeOf<Function, std::tuple<Operands...>, std::tuple<PlainOf<Operands>...>,
                                 std::index_sequence_for<Operands...>>{};
    else return std::type_identity<map_mistake>{};
  }
  using type = typename decltype(find())::type;
};

/// The first recorded operand: stands in for the result where the compiler has refused the function.
template <class First, class... Rest>
auto recorded_stand_in(First const& first, Rest const&... rest) {
  if constexpr (Recorded<First>) return as_var(first);
  else return recorded_stand_in(rest...);
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
  auto const result = call_with(inputs, [&](auto const&... input) { return eval(map(function, input...)); });
  using Result = std::remove_const_t<decltype(result)>;
  auto const slots = std::make_tuple(slot_of(operands)...);
  Tape& tape = tape_of(operands...);
  if constexpr (UsesResultOnly<Function>) {
    return tape.record(result, [slots, result](Cotangent<Result> const& gradient) {
      std::get<0>(slots).add(gradient_of_map<Function, 0>(gradient, result, result));
    });
  } else {
    return tape.record(result, [slots, inputs, result](Cotangent<Result> const& gradient) {
      vjp_maps<Function>(slots, gradient, result, inputs, std::index_sequence_for<Operands...>{});
    });
  }
}

}  // namespace detail

/// `function` of tensors of which some are recorded: computed at once, and recorded; in place of an einsum's result
/// where the derivative does not look at it. The function has `derivative` (expr/functions.hpp).
template <class Function, detail::RecordedMapOperand... Operands>
  requires(detail::Recorded<Operands> || ...)
auto map(Function const& function, Operands const&... operands) {
  using Mistake = typename detail::RecordedMapMistakeOf<Function, Operands...>::type;
  if constexpr (!std::is_void_v<Mistake>) {
    using Refused [[maybe_unused]] = decltype(Mistake{});
    return detail::recorded_stand_in(operands...);
  } else if constexpr (detail::UsesResultOnly<Function> && !(AnyVar<Operands> && ...)) {
    return detail::recorded_in_place(function, operands.eval()...);
  } else {
    return detail::recorded_map(function, detail::as_var(operands)...);
  }
}

}  // namespace gshard
