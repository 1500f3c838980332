// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/expr/expression.hpp>

/// Functions of elements. Each has a call operator, `is_linear` (whether it is linear in its operands, of which those
/// marked are numbers), and `derivative<Operand>(operands..., result)`, its derivative with respect to one operand.
/// `uses_result_only` says that the derivative does not look at the operands, `passes_gradient<Operand>` that it is 1.
namespace gshard::functions {

struct NotLinear {
  template <bool... IsConstant>
  static constexpr bool is_linear = false;
};

struct Plus {
  template <bool Left, bool Right>
  static constexpr bool is_linear = !Left && !Right;
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return a + b;
  }
  template <int>
  static constexpr bool passes_gradient = true;
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T, T, T) {
    return T(1);
  }
};

struct Minus {
  template <bool Left, bool Right>
  static constexpr bool is_linear = !Left && !Right;
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return a - b;
  }
  template <int Operand>
  static constexpr bool passes_gradient = Operand == 0;
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T, T, T) {
    return Operand == 0 ? T(1) : T(-1);
  }
};

struct Times {
  template <bool Left, bool Right>
  static constexpr bool is_linear = Left || Right;
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return a * b;
  }
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T a, T b, T) {
    return Operand == 0 ? b : a;
  }
};

struct Divides {
  template <bool Left, bool Right>
  static constexpr bool is_linear = !Left && Right;
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return a / b;
  }
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T, T b, T result) {
    return Operand == 0 ? T(1) / b : -result / b;
  }
};

struct Negate {
  template <bool>
  static constexpr bool is_linear = true;
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return -x;
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T, T) {
    return T(-1);
  }
};

/// A function whose values are fractions.
struct OfFractions : NotLinear {
  static constexpr bool is_of_fractions = true;
};

struct Relu : NotLinear {
  static constexpr bool uses_result_only = true;
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x <= T(0) ? T(0) : x;  // in this order NaN stays NaN
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return result <= T(0) ? T(0) : T(1);
  }
};

struct Exp : OfFractions {
  static constexpr bool uses_result_only = true;
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::exp(x);
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return result;
  }
};

struct Log : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::log(x);
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return T(1) / x;
  }
};

struct Tanh : OfFractions {
  static constexpr bool uses_result_only = true;
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::tanh(x);
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return T(1) - result * result;
  }
};

struct Sigmoid : OfFractions {
  static constexpr bool uses_result_only = true;
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return T(1) / (T(1) + Kokkos::exp(-x));
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return result * (T(1) - result);
  }
};

struct Sqrt : OfFractions {
  static constexpr bool uses_result_only = true;
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::sqrt(x);
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return T(0.5) / result;
  }
};

struct Square : NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x * x;
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return T(2) * x;
  }
};

/// The same number, stored as a T.
template <class T>
struct Convert {
  using stored_type = T;
  template <bool>
  static constexpr bool is_linear = true;
  template <int>
  static constexpr bool passes_gradient = true;
  template <class From>
  KOKKOS_FUNCTION auto operator()(From x) const {
    return static_cast<detail::Computed<T>>(x);
  }
  template <int, class From>
  KOKKOS_FUNCTION static From derivative(From, detail::Computed<T>) {
    return From(1);
  }
};

}  // namespace gshard::functions

namespace gshard {

/// What the functions below take: an expression, or a recorded tensor (autodiff/), of which the function is recorded in
/// turn.
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

/// A number as an operand beside `Operand`, in its element type. Returns auto, so that it is instantiated where it is
/// called, and the compiler points there.
template <class Number, class Operand>
auto constant_for(Number value) {
  using Element = typename ElementOfOperand<Operand>::type;
  if constexpr (std::is_integral_v<Element> && std::is_floating_point_v<Number>) {
    using Refused [[maybe_unused]] = decltype(error::FractionMeetsIntegers<Element, Number>{});
  }
  return Constant<Element>{static_cast<Element>(value)};
}

template <class Type>
concept Number = std::is_arithmetic_v<Type>;

template <class Type>
concept MapOperand = Expression<Type> || is_constant<Type>;

}  // namespace detail

/// `function` applied element by element to tensors and deferred tensors of one layout, and to constants, fused with
/// what it is applied to.
template <class Function, detail::MapOperand... Operands>
auto map(Function const& function, Operands const&... operands) {
  using Mistake = detail::MapMistake<Function, Operands...>;
  if constexpr (std::is_void_v<Mistake>) {
    return Map<Function, Operands...>(function, operands...);
  } else {
    using Refused [[maybe_unused]] = decltype(Mistake{});
    return detail::stand_in(operands...);
  }
}

template <PointwiseOperand Operand>
auto relu(Operand const& x) {
  return map(functions::Relu{}, x);
}
template <PointwiseOperand Operand>
auto exp(Operand const& x) {
  return map(functions::Exp{}, x);
}
template <PointwiseOperand Operand>
auto log(Operand const& x) {
  return map(functions::Log{}, x);
}
template <PointwiseOperand Operand>
auto tanh(Operand const& x) {
  return map(functions::Tanh{}, x);
}
template <PointwiseOperand Operand>
auto sigmoid(Operand const& x) {
  return map(functions::Sigmoid{}, x);
}
template <PointwiseOperand Operand>
auto sqrt(Operand const& x) {
  return map(functions::Sqrt{}, x);
}
template <PointwiseOperand Operand>
auto square(Operand const& x) {
  return map(functions::Square{}, x);
}
template <PointwiseOperand Operand>
auto operator-(Operand const& x) {
  return map(functions::Negate{}, x);
}

/// The elements as numbers of type T, as in `convert<BFloat16>(weights)`.
template <class T, PointwiseOperand Operand>
auto convert(Operand const& x) {
  return map(functions::Convert<T>{}, x);
}

template <PointwiseOperand Left, PointwiseOperand Right>
auto operator+(Left const& a, Right const& b) {
  return map(functions::Plus{}, a, b);
}
template <PointwiseOperand Left, PointwiseOperand Right>
auto operator-(Left const& a, Right const& b) {
  return map(functions::Minus{}, a, b);
}
template <PointwiseOperand Left, PointwiseOperand Right>
auto operator*(Left const& a, Right const& b) {
  return map(functions::Times{}, a, b);
}
template <PointwiseOperand Left, PointwiseOperand Right>
auto operator/(Left const& a, Right const& b) {
  return map(functions::Divides{}, a, b);
}

template <PointwiseOperand Left, detail::Number Right>
auto operator+(Left const& a, Right b) {
  return map(functions::Plus{}, a, detail::constant_for<Right, Left>(b));
}
template <detail::Number Left, PointwiseOperand Right>
auto operator+(Left a, Right const& b) {
  return map(functions::Plus{}, detail::constant_for<Left, Right>(a), b);
}
template <PointwiseOperand Left, detail::Number Right>
auto operator-(Left const& a, Right b) {
  return map(functions::Minus{}, a, detail::constant_for<Right, Left>(b));
}
template <detail::Number Left, PointwiseOperand Right>
auto operator-(Left a, Right const& b) {
  return map(functions::Minus{}, detail::constant_for<Left, Right>(a), b);
}
template <PointwiseOperand Left, detail::Number Right>
auto operator*(Left const& a, Right b) {
  return map(functions::Times{}, a, detail::constant_for<Right, Left>(b));
}
template <detail::Number Left, PointwiseOperand Right>
auto operator*(Left a, Right const& b) {
  return map(functions::Times{}, detail::constant_for<Left, Right>(a), b);
}
template <PointwiseOperand Left, detail::Number Right>
auto operator/(Left const& a, Right b) {
  return map(functions::Divides{}, a, detail::constant_for<Right, Left>(b));
}
template <detail::Number Left, PointwiseOperand Right>
auto operator/(Left a, Right const& b) {
  return map(functions::Divides{}, detail::constant_for<Left, Right>(a), b);
}

}  // namespace gshard
