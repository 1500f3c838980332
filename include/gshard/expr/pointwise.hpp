// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/core/error.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/expr/mistakes.hpp>

/// Functions of elements. Each is an object with
/// - a call operator for the elements of the operands,
/// - `derivative<Operand>(operands..., result)`, the derivative with respect to one operand; a function of one operand
///   may leave out `<Operand>`. A derivative that is 0 or 1 may be a bool: it selects the gradient or 0, also where the
///   gradient is NaN or infinite,
/// - `reads<Operand>`, what that derivative reads (Reads); everything unless stated,
/// - `passes_gradient<Operand>`, whether that derivative is 1; false unless stated,
/// - `is_linear<IsNumber...>`, whether it is linear in its operands apart from those that are numbers; false unless
///   stated,
/// - `rounds_integers`, whether it rounds where all operands are integers, as a division does, and is then not linear;
///   false unless stated.
///
///     struct Softsign {
///       template <class T>
///       KOKKOS_FUNCTION T operator()(T x) const { return x / (T(1) + Kokkos::abs(x)); }
///       template <class T>
///       KOKKOS_FUNCTION T derivative(T x, T) const { return T(1) / ((T(1) + Kokkos::abs(x)) * (T(1) +
///       Kokkos::abs(x))); }
///     };
///     auto y = eval(map<Softsign>(x));  // or map(Softsign{}, x)
namespace gshard::functions {

/// Base of functions that are linear in no operand.
struct NotLinear {
  template <bool... IsNumber>
  static constexpr bool is_linear = false;
};

/// Base of functions whose values are fractions: they take floating point only.
struct OfFractions : NotLinear {
  static constexpr bool is_of_fractions = true;
};

}  // namespace gshard::functions

namespace gshard {

/// Satisfied by what pointwise functions take as a tensor: an expression, or a recorded tensor (autodiff/), for which
/// the function is recorded.
template <class Type>
concept PointwiseOperand = Expression<Type> || requires { requires std::remove_cvref_t<Type>::is_recorded; };

namespace detail {

template <class Operand>
using ElementOf = ValueOf<decltype(materialized(std::declval<Operand const&>()))>;

template <class Operand>
struct ElementOfOperand {
  using type = ElementOf<Operand>;
};
template <class Operand>
  requires requires { typename Operand::tensor_type; }
struct ElementOfOperand<Operand> {
  using type = Computed<typename Operand::tensor_type::value_type>;
};

template <class Type>
concept Number = std::is_arithmetic_v<std::remove_cvref_t<Type>>;

/// Satisfied by the operands of a function of two tensors, or of a tensor and a number.
template <class Left, class Right>
concept PointwiseOperands =
    (PointwiseOperand<Left> && (PointwiseOperand<Right> || Number<Right>)) || (Number<Left> && PointwiseOperand<Right>);

/// Returns a number as an operand beside `Operand`, in its element type. Returns auto, so that it is instantiated where
/// it is called, and the compiler points there. Throws OptionError if an integer does not fit.
template <class Number, class Operand>
auto constant_for(Number value) {
  using Element = typename ElementOfOperand<std::remove_cvref_t<Operand>>::type;
  if constexpr (std::is_integral_v<Element> && std::is_floating_point_v<Number>) {
    using Refused [[maybe_unused]] = decltype(error::FractionMeetsIntegers<Element, Number>{});
  }
  if constexpr (std::is_integral_v<Element> && std::is_integral_v<Number>) {
    bool const fits =
        static_cast<Number>(static_cast<Element>(value)) == value && (static_cast<Element>(value) < 0) == (value < 0);
    if (!fits)
      throw OptionError(concat("a pointwise expression: the elements of the tensor do not hold the number ", value));
  }
  return Constant<Element>{static_cast<Element>(value)};
}

/// Returns an operand; a number as a constant in the element type of `Other`, or, if that is a number too, in the type
/// that both have in common (int or wider).
template <class Other, class Operand>
decltype(auto) operand_beside(Operand&& operand) {
  if constexpr (!Number<Operand>) {
    return std::forward<Operand>(operand);
  } else if constexpr (Number<Other>) {
    using Element = std::common_type_t<int, std::remove_cvref_t<Operand>, std::remove_cvref_t<Other>>;
    return Constant<Element>{static_cast<Element>(operand)};
  } else {
    return constant_for<std::remove_cvref_t<Operand>, Other>(operand);
  }
}

template <class Type>
concept MapOperand = Expression<Type> || is_constant<std::remove_cvref_t<Type>>;

}  // namespace detail

/// Applies `function` element by element to tensors and deferred tensors of one layout, and to constants. Fused with
/// the expressions that it is applied to; runs when it is evaluated, without communication.
/// Does not compile if an operand is the name of an operation that has not run (error::OperationUsedByName).
template <class Function, detail::MapOperand... Operands>
auto map(Function const& function, Operands&&... operands) {
  (detail::refuse_named<Operands>(), ...);
  using Mistake = detail::MapMistake<Function, std::remove_cvref_t<Operands>...>;
  if constexpr (std::is_void_v<Mistake>) {
    return Map<Function, std::remove_cvref_t<Operands>...>(function, operands...);
  } else {
    using Refused [[maybe_unused]] = decltype(Mistake{});
    return detail::stand_in(operands...);
  }
}

/// Applies a function without members, as in `map<Softsign>(x)`.
template <class Function, PointwiseOperand... Operands>
auto map(Operands&&... operands) {
  return map(Function{}, std::forward<Operands>(operands)...);
}

}  // namespace gshard
