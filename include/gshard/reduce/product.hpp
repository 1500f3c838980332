// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <utility>

#include <gshard/reduce/reduction.hpp>
#include <gshard/reduce/total.hpp>

// Products, over dimensions or of all elements, as the reductions of reduction.hpp and total.hpp.
//
// Rounding: floating point is multiplied, and sent, in double, and rounded once. The product of floats or BFloat16 is
// right wherever the type holds it. If the product of some of the elements leaves the range of double, the result is
// infinite, 0 or NaN, and which one depends on the order of the multiplications, as in NumPy: reduce `log(abs(x))` by
// sum instead. Products of integers beyond 64 bits are those modulo 2^64.
// NaN and infinity: the result is NaN if an element is NaN, or if one is 0 and another infinite.

namespace gshard {

/// Returns the product over dimensions, `prod<0, 2>(x)`; 1 if there are no elements. The product of integers is
/// std::int64_t. Negative dimensions count from the end. x is a tensor, a recorded tensor, or a pointwise expression.
/// Waits for the spec of its result (Recipe).
/// Communication: one all-reduce over the axes that split the reduced dimensions, then what the declared result needs.
/// Gradient: the gradient of the result, resharded to the axes of the kept dimensions, times the product of the other
/// elements of the row: y / x[i] in a row without zeros; at a single zero the product of the others, and 0 beside it; 0
/// in a row with more zeros. If an element is NaN or infinite: NaN at this element, and by the same rule at the others,
/// where 0 times NaN or infinity is NaN. Precondition: the product of the elements that are not 0 is in the range of
/// double. Reads x, not the result. Communication of the gradient: one all-reduce of two doubles for each result, the
/// product of the elements that are not 0 and the encoded number of zeros, over the axes that split the reduced
/// dimensions.
/// Does not compile for an unreduced sum. Evaluation throws StateError if a tensor is unset, MeshError or ExtentError
/// if tensors do not belong together.
template <int First, int... Rest, PointwiseOperand X>
auto prod(X&& x) {
  return detail::reduction_of<detail::Multiplying, First, Rest...>("prod", std::forward<X>(x));
}

/// Returns the product of all elements of a recorded tensor, or of an operation on recorded tensors that has not run,
/// as a scalar: recorded, if it is of floating point.
template <detail::Recorded X>
auto prod(X&& x) {
  return detail::recorded_total<detail::Multiplying>(detail::evaluated(std::forward<X>(x)));
}

/// Returns the product of all elements as a number on the host, the same on every rank: a double, or of integers a
/// std::int64_t; 1 of none. Communication: an all-reduce of one number over the axes that split the tensor.
template <Expression Operand>
auto prod(Operand&& x) {
  return detail::total<detail::Multiplying>(detail::prepared(std::forward<Operand>(x), "prod"));
}

/// Does not compile: dimensions are template arguments.
template <Expression Operand, std::integral Dimension>
auto prod(Operand&& x, Dimension) {
  using Refused [[maybe_unused]] = decltype(error::DimensionIsAnArgument<Dimension>{});
  return prod(std::forward<Operand>(x));
}

}  // namespace gshard
