// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/expr/pointwise.hpp>
#include <gshard/expr/reads.hpp>

namespace gshard::functions {

struct Exp : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::exp(x);
  }
  template <int>
  static constexpr Reads reads = Reads::result();
  template <class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return result;
  }
};

struct Expm1 : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::expm1(x);
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return Kokkos::exp(x);  // the result plus 1 would be 0 where the result is rounded to -1
  }
};

struct Log : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::log(x);
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return T(1) / x;
  }
};

struct Log1p : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::log1p(x);
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return T(1) / (T(1) + x);
  }
};

struct Sqrt : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::sqrt(x);
  }
  template <int>
  static constexpr Reads reads = Reads::result();
  template <class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return T(0.5) / result;
  }
};

struct Rsqrt : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return T(1) / Kokkos::sqrt(x);
  }
  template <int>
  static constexpr Reads reads = Reads::result();
  template <class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return T(-0.5) * result * result * result;
  }
};

struct Pow : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x, T exponent) const {
    return Kokkos::pow(x, exponent);
  }
  template <int Operand>
  static constexpr Reads reads = Reads::operand(0) | (Operand == 0 ? Reads::operand(1) : Reads::result());
  template <int Operand, class T>
  KOKKOS_FUNCTION static T derivative(T x, T exponent, T result) {
    // The limits where the formulas give 0 * infinity.
    if constexpr (Operand == 0) return exponent == T(0) ? T(0) : exponent * Kokkos::pow(x, exponent - T(1));
    else return x == T(0) && Kokkos::abs(result) <= T(1) ? T(0) : result * Kokkos::log(x);
  }
};

struct Sin : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::sin(x);
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return Kokkos::cos(x);
  }
};

struct Cos : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::cos(x);
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return -Kokkos::sin(x);
  }
};

struct Tanh : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::tanh(x);
  }
  template <int>
  static constexpr Reads reads = Reads::result();
  template <class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return T(1) - result * result;
  }
};

struct Erf : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return Kokkos::erf(x);
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return T(2) * Kokkos::numbers::inv_sqrtpi_v<T> * Kokkos::exp(-x * x);
  }
};

}  // namespace gshard::functions

namespace gshard {

// Functions of floating point. NaN propagates, and is the value outside the domain, unless stated.

/// Returns e^x. Derivative: e^x.
template <PointwiseOperand Operand>
auto exp(Operand&& x) {
  return map(functions::Exp{}, std::forward<Operand>(x));
}

/// Returns e^x - 1, precise also near 0. Derivative: e^x.
template <PointwiseOperand Operand>
auto expm1(Operand&& x) {
  return map(functions::Expm1{}, std::forward<Operand>(x));
}

/// Returns the natural logarithm; of 0 minus infinity. Derivative: 1 / x.
template <PointwiseOperand Operand>
auto log(Operand&& x) {
  return map(functions::Log{}, std::forward<Operand>(x));
}

/// Returns log(1 + x), precise also near 0. Derivative: 1 / (1 + x).
template <PointwiseOperand Operand>
auto log1p(Operand&& x) {
  return map(functions::Log1p{}, std::forward<Operand>(x));
}

/// Returns the square root. Derivative: 1 / (2 sqrt(x)), infinity at 0.
template <PointwiseOperand Operand>
auto sqrt(Operand&& x) {
  return map(functions::Sqrt{}, std::forward<Operand>(x));
}

/// Returns 1 / sqrt(x); of 0 infinity. Derivative: -1 / (2 x sqrt(x)).
template <PointwiseOperand Operand>
auto rsqrt(Operand&& x) {
  return map(functions::Rsqrt{}, std::forward<Operand>(x));
}

/// Returns x^exponent, as std::pow: 1 for exponent 0 and for x = 1, also beside NaN. Either may be a number.
/// Derivatives: exponent x^(exponent - 1), which is 0 for exponent 0; x^exponent log(x), which is 0 for x = 0 and
/// exponent >= 0.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto pow(Left&& x, Right&& exponent) {
  return map(functions::Pow{}, detail::operand_beside<Right>(std::forward<Left>(x)),
             detail::operand_beside<Left>(std::forward<Right>(exponent)));
}

/// Returns the sine of x in radians. Derivative: cos(x).
template <PointwiseOperand Operand>
auto sin(Operand&& x) {
  return map(functions::Sin{}, std::forward<Operand>(x));
}

/// Returns the cosine of x in radians. Derivative: -sin(x).
template <PointwiseOperand Operand>
auto cos(Operand&& x) {
  return map(functions::Cos{}, std::forward<Operand>(x));
}

/// Returns the hyperbolic tangent. Derivative: 1 - tanh(x)^2.
template <PointwiseOperand Operand>
auto tanh(Operand&& x) {
  return map(functions::Tanh{}, std::forward<Operand>(x));
}

/// Returns the error function. Derivative: 2 / sqrt(pi) e^(-x^2).
template <PointwiseOperand Operand>
auto erf(Operand&& x) {
  return map(functions::Erf{}, std::forward<Operand>(x));
}

}  // namespace gshard
