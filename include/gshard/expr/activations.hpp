// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/expr/pointwise.hpp>
#include <gshard/expr/reads.hpp>

namespace gshard {

namespace detail {

/// Returns x * factor; 0 if the factor is 0, also of infinite x.
template <class T>
KOKKOS_FUNCTION T times_vanishing(T x, T factor) {
  return factor == T(0) ? T(0) : x * factor;
}

/// Returns the derivative of the sigmoid at x. Does not form 1 - sigmoid(x), which cancels for large x.
template <class T>
KOKKOS_FUNCTION T slope_of_sigmoid(T x) {
  T const decay = Kokkos::exp(-Kokkos::abs(x));
  return decay / ((T(1) + decay) * (T(1) + decay));
}

}  // namespace detail

namespace functions {

struct Relu : NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x <= T(0) ? T(0) : x;  // in this order NaN stays NaN
  }
  template <int>
  static constexpr Reads reads = Reads::result();
  template <class T>
  KOKKOS_FUNCTION static bool derivative(T, T result) {
    return !(result <= T(0));
  }
};

template <class T>
struct LeakyRelu : OfFractions {
  T slope;

  KOKKOS_FUNCTION T operator()(T x) const { return x > T(0) ? x : detail::times_vanishing(x, slope); }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  KOKKOS_FUNCTION T derivative(T x, T) const { return x > T(0) ? T(1) : slope; }
};

struct Sigmoid : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return T(1) / (T(1) + Kokkos::exp(-x));
  }
  template <int>
  static constexpr Reads reads = Reads::result();
  template <class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return result * (T(1) - result);
  }
};

struct Silu : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return detail::times_vanishing(x, Sigmoid{}(x));
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return Sigmoid{}(x) + detail::times_vanishing(x, detail::slope_of_sigmoid(x));
  }
};

struct Gelu : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return detail::times_vanishing(x, share(x));
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    T const density = Kokkos::numbers::inv_sqrtpi_v<T> * (Kokkos::numbers::sqrt2_v<T> / 2) * Kokkos::exp(-x * x / 2);
    return share(x) + detail::times_vanishing(x, density);
  }

 private:
  /// Returns the standard normal distribution at x. By erfc, since 1 + erf cancels for negative x.
  template <class T>
  KOKKOS_FUNCTION static T share(T x) {
    return Kokkos::erfc(-x * (Kokkos::numbers::sqrt2_v<T> / 2)) / 2;
  }
};

struct GeluTanh : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return detail::times_vanishing(x, Sigmoid{}(inner(x)));
  }
  template <int>
  static constexpr Reads reads = Reads::operand(0);
  template <class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    T const slope = scale<T> * (T(1) + T(3) * cubic<T> * x * x);
    return Sigmoid{}(inner(x)) + detail::times_vanishing(x * slope, detail::slope_of_sigmoid(inner(x)));
  }

 private:
  template <class T>
  static constexpr T scale = T(1.59576912160573071175978423973752748);  // 2 sqrt(2 / pi)
  template <class T>
  static constexpr T cubic = T(0.044715);

  /// Returns u so that the approximation is x sigmoid(u), which is x (1 + tanh(u / 2)) / 2.
  template <class T>
  KOKKOS_FUNCTION static T inner(T x) {
    return scale<T> * x * (T(1) + cubic<T> * x * x);
  }
};

struct Softplus : OfFractions {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return (x > T(0) ? x : T(0)) + Kokkos::log1p(Kokkos::exp(-Kokkos::abs(x)));
  }
  template <int>
  static constexpr Reads reads = Reads::result();
  template <class T>
  KOKKOS_FUNCTION static T derivative(T, T result) {
    return -Kokkos::expm1(-result);  // sigmoid(x) = 1 - e^(-softplus(x))
  }
};

}  // namespace functions

// NaN propagates. Values and derivatives are finite for every finite x, and are their limits for infinite x.

/// Returns x if it is positive, else 0. Derivative: 1 for x > 0, else 0.
template <PointwiseOperand Operand>
auto relu(Operand&& x) {
  return map(functions::Relu{}, std::forward<Operand>(x));
}

/// Returns x if it is positive, else slope * x. Derivative: 1 for x > 0, else `slope`.
template <PointwiseOperand Operand>
auto leaky_relu(Operand&& x, double slope = 0.01) {
  using Element = typename detail::ElementOfOperand<std::remove_cvref_t<Operand>>::type;
  return map(functions::LeakyRelu<Element>{{}, static_cast<Element>(slope)}, std::forward<Operand>(x));
}

/// Returns 1 / (1 + e^-x), the logistic function. Derivative: sigmoid(x) (1 - sigmoid(x)).
template <PointwiseOperand Operand>
auto sigmoid(Operand&& x) {
  return map(functions::Sigmoid{}, std::forward<Operand>(x));
}

/// Returns x sigmoid(x) (SiLU, Swish). Derivative: sigmoid(x) (1 + x (1 - sigmoid(x))).
template <PointwiseOperand Operand>
auto silu(Operand&& x) {
  return map(functions::Silu{}, std::forward<Operand>(x));
}

/// Returns x P(x), P the standard normal distribution (1 + erf(x / sqrt(2))) / 2. Derivative: P(x) + x P'(x).
template <PointwiseOperand Operand>
auto gelu(Operand&& x) {
  return map(functions::Gelu{}, std::forward<Operand>(x));
}

/// Returns x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3), the approximation of gelu of GPT-2 and BERT.
/// Derivative: that of the approximation.
template <PointwiseOperand Operand>
auto gelu_tanh(Operand&& x) {
  return map(functions::GeluTanh{}, std::forward<Operand>(x));
}

/// Returns log(1 + e^x). Derivative: sigmoid(x).
template <PointwiseOperand Operand>
auto softplus(Operand&& x) {
  return map(functions::Softplus{}, std::forward<Operand>(x));
}

}  // namespace gshard
