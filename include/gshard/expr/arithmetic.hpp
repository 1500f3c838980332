// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/core/error.hpp>
#include <gshard/core/extremes.hpp>
#include <gshard/expr/pointwise.hpp>
#include <gshard/expr/reads.hpp>

namespace gshard::functions {

struct Plus {
  template <bool Left, bool Right>
  static constexpr bool is_linear = !Left && !Right;
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return a + b;
  }
  template <int>
  static constexpr bool passes_gradient = true;
  template <int>
  static constexpr Reads reads = Reads::nothing();
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
  template <int>
  static constexpr Reads reads = Reads::nothing();
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
  template <int Operand>
  static constexpr Reads reads = Reads::operand(1 - Operand);
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T a, T b, T) {
    return Operand == 0 ? b : a;
  }
};

struct Divides {
  template <bool Left, bool Right>
  static constexpr bool is_linear = !Left && Right;
  static constexpr bool rounds_integers = true;  // 1 / 2 + 1 / 2 is not 2 / 2
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return a / b;
  }
  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::operand(1) : Reads::operand(1) | Reads::result();
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
    // Of the smallest integer the negative is no integer of the type: it stays, as in two's complement.
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(std::make_unsigned_t<T>(0) - static_cast<std::make_unsigned_t<T>>(x));
    else return -x;
  }
  template <int>
  static constexpr Reads reads = Reads::nothing();
  template <class T>
  KOKKOS_FUNCTION static T derivative(T, T) {
    return T(-1);
  }
};

struct Square : NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x * x;
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return T(2) * x;
  }
};

struct Sign : NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;
  }
  template <int>
  static constexpr Reads reads = Reads::nothing();
  template <class T>
  KOKKOS_FUNCTION static bool derivative(T, T) {
    return false;
  }
};

struct Abs : NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    if constexpr (std::is_integral_v<T>) return x < T(0) ? Negate{}(x) : x;
    else return Kokkos::abs(x);
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return Sign{}(x);
  }
};

struct Maximum : NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return ((b > a) | detail::is_nan(b)) ? b : a;
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0) | Reads::operand(1);
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T a, T b, T) {
    if (detail::is_larger(a, b)) return T(Operand == 0);
    if (detail::is_larger(b, a)) return T(Operand == 1);
    return T(0.5);
  }
};

struct Minimum : NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T a, T b) const {
    return ((b < a) | detail::is_nan(b)) ? b : a;
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0) | Reads::operand(1);
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T a, T b, T) {
    if (detail::is_smaller(a, b)) return T(Operand == 0);
    if (detail::is_smaller(b, a)) return T(Operand == 1);
    return T(0.5);
  }
};

template <class T>
struct Clamp : NotLinear {
  T low, high;

  KOKKOS_FUNCTION T operator()(T x) const { return x < low ? low : x > high ? high : x; }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  KOKKOS_FUNCTION bool derivative(T x, T) const { return !(x < low) && !(x > high); }
};

}  // namespace gshard::functions

namespace gshard {

// Operands are tensors and numbers; a number has the element type of the tensor. NaN propagates unless stated.

/// a + b. Derivatives: 1, 1.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator+(Left&& a, Right&& b) {
  return map(functions::Plus{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// a - b. Derivatives: 1, -1.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator-(Left&& a, Right&& b) {
  return map(functions::Minus{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// a * b. Derivatives: b, a.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator*(Left&& a, Right&& b) {
  return map(functions::Times{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// a / b, of integers towards 0; precondition of integers: b is not 0, and the type holds a / b. Derivatives: 1 / b, -a
/// / b^2.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator/(Left&& a, Right&& b) {
  return map(functions::Divides{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// -x. Derivative: -1.
template <PointwiseOperand Operand>
auto operator-(Operand&& x) {
  return map(functions::Negate{}, std::forward<Operand>(x));
}

/// Returns x * x. Derivative: 2 x.
template <PointwiseOperand Operand>
auto square(Operand&& x) {
  return map(functions::Square{}, std::forward<Operand>(x));
}

/// Returns |x|. Derivative: sign(x), 0 at 0.
template <PointwiseOperand Operand>
auto abs(Operand&& x) {
  return map(functions::Abs{}, std::forward<Operand>(x));
}

/// Returns 1, 0 or -1 by the sign of x; of -0, -0. Derivative: 0, also of NaN.
template <PointwiseOperand Operand>
auto sign(Operand&& x) {
  return map(functions::Sign{}, std::forward<Operand>(x));
}

/// Returns the larger element of a and b. Derivatives: 1 for the larger, 0 for the other, 1/2 for both if they are
/// equal; a NaN counts as larger than every number. An infinite gradient gives NaN where the derivative is 0.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto maximum(Left&& a, Right&& b) {
  return map(functions::Maximum{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// Returns the smaller element of a and b. Derivatives: 1 for the smaller, 0 for the other, 1/2 for both if they are
/// equal; a NaN counts as smaller than every number. An infinite gradient gives NaN where the derivative is 0.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto minimum(Left&& a, Right&& b) {
  return map(functions::Minimum{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// Returns x limited to the range from `low` to `high`, two numbers. Derivative: 1 in the range and at its bounds, 0
/// outside. Throws OptionError unless low <= high.
template <PointwiseOperand Operand, detail::Number Low, detail::Number High>
auto clamp(Operand&& x, Low low, High high) {
  auto const least = detail::constant_for<Low, Operand>(low);
  auto const most = detail::constant_for<High, Operand>(high);
  if (!(least.value <= most.value))
    throw OptionError(
        detail::concat("clamp to the range from ", least.value, " to ", most.value, ": give a low <= high"));
  return map(functions::Clamp<decltype(least.value)>{{}, least.value, most.value}, std::forward<Operand>(x));
}

}  // namespace gshard
