// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/core/extremes.hpp>
#include <gshard/expr/pointwise.hpp>
#include <gshard/expr/reads.hpp>

namespace gshard::functions {

struct Less : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T a, T b) const {
    return a < b;
  }
};

struct LessEqual : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T a, T b) const {
    return a <= b;
  }
};

struct Greater : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T a, T b) const {
    return a > b;
  }
};

struct GreaterEqual : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T a, T b) const {
    return a >= b;
  }
};

struct Equal : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T a, T b) const {
    return a == b;
  }
};

struct NotEqual : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T a, T b) const {
    return a != b;
  }
};

struct LogicalAnd : NotLinear {
  template <class A, class B>
  KOKKOS_FUNCTION int operator()(A a, B b) const {
    return (a != A(0)) & (b != B(0));
  }
};

struct LogicalOr : NotLinear {
  template <class A, class B>
  KOKKOS_FUNCTION int operator()(A a, B b) const {
    return (a != A(0)) | (b != B(0));
  }
};

struct LogicalNot : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T x) const {
    return x == T(0);
  }
};

struct IsNan : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T x) const {
    return detail::is_nan(x);
  }
};

struct IsFinite : NotLinear {
  template <class T>
  KOKKOS_FUNCTION int operator()(T x) const {
    if constexpr (std::is_integral_v<T>) return 1;
    else return Kokkos::isfinite(x);
  }
};

/// Linear in the two sums that it selects from.
struct Where {
  template <bool Condition, bool X, bool Y>
  static constexpr bool is_linear = Condition && !X && !Y;
  template <class C, class T>
  KOKKOS_FUNCTION T operator()(C condition, T x, T y) const {
    return condition != C(0) ? x : y;
  }
  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::nothing() : Reads::operand(0);
  template <int Operand, class C, class T>
  KOKKOS_FUNCTION static bool derivative(C condition, T, T, T) {
    return Operand != 0 && (condition != C(0)) == (Operand == 1);
  }
};

}  // namespace gshard::functions

namespace gshard {

// Comparisons and logical functions give 1 for true and 0 for false, as tensors of int. Those of recorded tensors are
// not recorded: they have no gradient. Comparisons have no operators == and !=, which would compare tensors as a whole
// elsewhere.

/// a < b; 0 if one is NaN.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto less(Left&& a, Right&& b) {
  return map(functions::Less{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator<(Left&& a, Right&& b) {
  return less(std::forward<Left>(a), std::forward<Right>(b));
}

/// a <= b; 0 if one is NaN.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto less_equal(Left&& a, Right&& b) {
  return map(functions::LessEqual{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator<=(Left&& a, Right&& b) {
  return less_equal(std::forward<Left>(a), std::forward<Right>(b));
}

/// a > b; 0 if one is NaN.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto greater(Left&& a, Right&& b) {
  return map(functions::Greater{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator>(Left&& a, Right&& b) {
  return greater(std::forward<Left>(a), std::forward<Right>(b));
}

/// a >= b; 0 if one is NaN.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto greater_equal(Left&& a, Right&& b) {
  return map(functions::GreaterEqual{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto operator>=(Left&& a, Right&& b) {
  return greater_equal(std::forward<Left>(a), std::forward<Right>(b));
}

/// Returns whether elements are equal; 0 if one is NaN.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto equal(Left&& a, Right&& b) {
  return map(functions::Equal{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// Returns whether elements differ; 1 if one is NaN.
template <class Left, class Right>
  requires detail::PointwiseOperands<Left, Right>
auto not_equal(Left&& a, Right&& b) {
  return map(functions::NotEqual{}, detail::operand_beside<Right>(std::forward<Left>(a)),
             detail::operand_beside<Left>(std::forward<Right>(b)));
}

/// Returns whether both elements are true, that is not 0; NaN is true. Element types may differ.
template <PointwiseOperand Left, PointwiseOperand Right>
auto logical_and(Left&& a, Right&& b) {
  return map(functions::LogicalAnd{}, std::forward<Left>(a), std::forward<Right>(b));
}

/// Returns whether one of two elements, or both, are true, that is not 0; NaN is true. Element types may differ.
template <PointwiseOperand Left, PointwiseOperand Right>
auto logical_or(Left&& a, Right&& b) {
  return map(functions::LogicalOr{}, std::forward<Left>(a), std::forward<Right>(b));
}

/// Returns whether an element is 0.
template <PointwiseOperand Operand>
auto logical_not(Operand&& x) {
  return map(functions::LogicalNot{}, std::forward<Operand>(x));
}

/// Returns whether an element is NaN.
template <PointwiseOperand Operand>
auto isnan(Operand&& x) {
  return map(functions::IsNan{}, std::forward<Operand>(x));
}

/// Returns whether an element is neither infinite nor NaN.
template <PointwiseOperand Operand>
auto isfinite(Operand&& x) {
  return map(functions::IsFinite{}, std::forward<Operand>(x));
}

/// Returns x where the condition is not 0, else y; x and y may be numbers. A NaN in what is not selected has no effect.
/// Derivatives: 0 for the condition; 1 for what is selected and 0 for the other, whose gradient is 0 also where that of
/// the result is NaN. x and y may be unreduced sums.
template <PointwiseOperand Condition, class X, class Y>
  requires((PointwiseOperand<X> || detail::Number<X>) && (PointwiseOperand<Y> || detail::Number<Y>))
auto where(Condition&& condition, X&& x, Y&& y) {
  return map(functions::Where{}, std::forward<Condition>(condition), detail::operand_beside<Y>(std::forward<X>(x)),
             detail::operand_beside<X>(std::forward<Y>(y)));
}

}  // namespace gshard
