// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/broadcast_gradient.hpp>
#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/expr/functions.hpp>

namespace gshard {

namespace error {

template <class Function, int Operand>
struct FunctionWithoutDerivative {
  static_assert(
      always_false<Function>,
      "gshard: a pointwise function of a recorded tensor has no derivative for that operand (0 is the first); add "
      "`template <int Operand, class T> T derivative(T x, T result) const` to the function, or take "
      "x.value(), which is not recorded");
};

}  // namespace error

namespace detail {

/// Whether `Function` has a derivative with respect to operand `Operand`, called with the values of the operands and
/// the result.
template <class Function, int Operand, class... OperandsAndResult>
concept HasDerivativeFor = requires(Function const& function, OperandsAndResult... values) {
  function.template derivative<Operand>(values...);
};
/// Whether `Function`, of one operand, has a derivative.
template <class Function, class... OperandAndResult>
concept HasDerivative =
    sizeof...(OperandAndResult) == 2 &&
    requires(Function const& function, OperandAndResult... values) { function.derivative(values...); };

template <class Function, int Operand>
concept PassesGradient = requires { requires Function::template passes_gradient<Operand>; };

/// Returns a gradient times a derivative; a derivative that is a bool selects the gradient or 0.
template <class T, class Derivative>
KOKKOS_FUNCTION T times_derivative(T gradient, Derivative derivative) {
  if constexpr (std::is_same_v<Derivative, bool>) return derivative ? gradient : T(0);
  else return gradient * derivative;
}

/// The gradient that `Function` passes to operand `Operand`: the gradient of the result times the derivative. A
/// function that is linear in unreduced sums has a derivative that is linear in them, too, and is applied to their
/// parts (`InParts`).
template <class Function, int Operand, bool InParts = false>
struct TimesDerivative {
  Function function;

  template <bool...>
  static constexpr bool is_linear = InParts;

  template <class T, class... OperandsAndResult>
  KOKKOS_FUNCTION T operator()(T gradient, OperandsAndResult... values) const {
    if constexpr (HasDerivativeFor<Function, Operand, OperandsAndResult...>)
      return times_derivative(gradient, function.template derivative<Operand>(values...));
    else return times_derivative(gradient, function.derivative(values...));
  }
};

/// Returns an operand or a result as an argument of a derivative. Elements that the derivative does not read, and those
/// of unreduced sums, on which derivatives of linear functions do not depend, become a number.
template <bool InParts, bool IsRead, class Value>
auto argument_of_derivative(Value const& value) {
  if constexpr (is_constant<Value>) return value;
  else if constexpr (IsRead && (InParts || Value::layout.partial.empty())) return value;
  else return Constant<Computed<typename Value::value_type>>{};
}

/// Adds the gradient of one operand of a pointwise function: summed over the dimensions along which it was broadcast.
template <int Operand, class Function, class Target, class Given, class SavedValues>
void add_gradient_of_map(Function const& function, Target const& target, Given const& given, SavedValues const& saved) {
  if constexpr (is_wanted<Target>) {
    using Tensor = typename Target::tensor_type;
    using Result = std::remove_cvref_t<decltype(saved.result)>;
    // With the extents that the type of the result fixes: without them, what is fixed to 1 would be broadcast to it.
    using Gradient = with_spec<Given, with_extents_of<typename Given::spec_type, typename Result::spec_type>>;
    Gradient const gradient = given;
    // A whole operand beside unreduced sums: each rank has its part of them, and so a part of the gradient.
    constexpr bool in_parts = Tensor::layout.partial.empty() && !Result::layout.partial.empty();
    auto const expression = [&] {
      if constexpr (PassesGradient<Function, Operand> && !in_parts) {
        return gradient;
      } else {
        constexpr Reads reads = reads_of<Function, Operand>();
        return [&]<std::size_t... Position>(std::index_sequence<Position...>) {
          return map(TimesDerivative<Function, Operand, in_parts>{function}, gradient,
                     argument_of_derivative<in_parts, reads.has_operand(static_cast<int>(Position))>(
                         std::get<Position>(saved.operands))...,
                     argument_of_derivative<in_parts, reads.from_result>(saved.result));
        }(std::make_index_sequence<std::tuple_size_v<decltype(saved.operands)>>{});
      }
    }();
    constexpr bool is_summed = is_broadcast<Gradient, Tensor>();
    auto const own = [&] {
      if constexpr (is_summed) return broadcast_sum<Tensor>(expression);
      else return evaluated(expression);
    }();
    using Element = typename Tensor::value_type;
    auto add = [&](auto const& converted) {
      if constexpr (in_parts || is_summed) target.add_part(converted);
      else target.add(converted);
    };
    if constexpr (std::is_same_v<typename std::remove_const_t<decltype(own)>::value_type, Element>) add(own);
    else add(eval(cast<Element>(own)));
  }
}

/// Pointwise function of tensors and numbers, as an operation.
template <class Function>
struct Pointwise {
  Function function;

  static constexpr bool overwrites_operands = true;
  template <int Operand>
  static constexpr Reads reads = reads_of<Function, Operand>();

  template <class... Operands>
  auto forward(Operands const&... operands) const {
    return eval(map(function, operands...));
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    call_with(gradients, [&](auto const&... target) {
      [&]<int... Position>(std::integer_sequence<int, Position...>) {
        (add_gradient_of_map<Position>(function, target, gradient, saved), ...);
      }(std::make_integer_sequence<int, static_cast<int>(sizeof...(target))>{});
    });
  }
};

template <class Type>
concept RecordedMapOperand = MapOperand<Type> || Recorded<Type>;

/// Whether an operand is recorded with a gradient; evaluated, if it is an operation that has not run.
template <class Operand>
inline constexpr bool wants_gradient = has_gradient<std::remove_cvref_t<decltype(evaluated(std::declval<Operand>()))>>;

/// The mistake of a function without a derivative for an operand with a gradient; void for none. A function that gives
/// integers needs no derivative.
template <class Function, class Operands, class Values, class Positions>
struct DerivativeMistakeOf;
template <class Function, class... Operands, class... Values, std::size_t... Position>
struct DerivativeMistakeOf<Function, std::tuple<Operands...>, std::tuple<Values...>, std::index_sequence<Position...>> {
  using Result = std::remove_cvref_t<std::invoke_result_t<Function const&, ValueOf<Values>...>>;
  template <class Operand, int OperandPosition>
  static constexpr bool is_fine =
      !wants_gradient<Operand> || std::is_integral_v<Result> || PassesGradient<Function, OperandPosition> ||
      HasDerivativeFor<Function, OperandPosition, ValueOf<Values>..., Result> ||
      HasDerivative<Function, ValueOf<Values>..., Result>;
  using type = typename FirstMistake<
      std::conditional_t<is_fine<Operands, static_cast<int>(Position)>, void,
                         error::FunctionWithoutDerivative<Function, static_cast<int>(Position)>>...>::type;
};

template <class Function, class... Operands>
struct RecordedMapMistakeOf {
  using map_mistake = MapMistake<Function, ValueTensor<Operands>...>;
  static constexpr auto find() {
    if constexpr (std::is_void_v<map_mistake>)
      return DerivativeMistakeOf<Function, std::tuple<Operands...>, std::tuple<ValueTensor<Operands>...>,
                                 std::index_sequence_for<Operands...>>{};
    else return std::type_identity<map_mistake>{};
  }
  using type = typename decltype(find())::type;
};

/// The first recorded operand: stands in for the result where the compiler has refused the function.
template <class First, class... Rest>
auto recorded_stand_in(First&& first, Rest&&... rest) {
  if constexpr (Recorded<First>) return evaluated(std::forward<First>(first));
  else return recorded_stand_in(std::forward<Rest>(rest)...);
}

}  // namespace detail

/// Computes `function` of tensors of which some are recorded, and records it. The result overwrites that of an
/// operation among the operands, if no derivative reads it. `function` has derivatives (expr/pointwise.hpp).
template <class Function, detail::RecordedMapOperand... Operands>
  requires(detail::Recorded<Operands> || ...)
auto map(Function const& function, Operands&&... operands) {
  using Mistake = typename detail::RecordedMapMistakeOf<Function, std::remove_cvref_t<Operands>...>::type;
  if constexpr (!std::is_void_v<Mistake>) {
    using Refused [[maybe_unused]] = decltype(Mistake{});
    return detail::recorded_stand_in(std::forward<Operands>(operands)...);
  } else {
    return Differentiable(detail::Pointwise<Function>{function})(std::forward<Operands>(operands)...);
  }
}

}  // namespace gshard
