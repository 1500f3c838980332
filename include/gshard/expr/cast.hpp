// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/expr/pointwise.hpp>
#include <gshard/expr/reads.hpp>

namespace gshard {

namespace functions {

template <class T>
struct Cast {
  using stored_type = T;
  template <bool>
  static constexpr bool is_linear = !std::is_integral_v<T>;  // of parts 0.5 + 0.5, integers would be 0 + 0
  template <int>
  static constexpr Reads reads = Reads::nothing();
  template <int>
  static constexpr bool passes_gradient = true;
  template <class From>
  KOKKOS_FUNCTION auto operator()(From x) const {
    return static_cast<detail::Computed<T>>(x);
  }
  template <class From>
  KOKKOS_FUNCTION static From derivative(From, detail::Computed<T>) {
    return From(1);
  }
};

}  // namespace functions

/// Returns the elements as numbers of type T, as in `cast<BFloat16>(weights)`: rounded to nearest; to integers
/// towards 0, undefined where T does not hold the result. Derivative: 1; the gradient is cast back. NaN propagates.
template <class T, PointwiseOperand Operand>
auto cast(Operand&& x) {
  return map(functions::Cast<T>{}, std::forward<Operand>(x));
}

}  // namespace gshard
