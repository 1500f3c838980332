// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/map.hpp>
#include <gshard/core/options.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/index/expand_dims.hpp>
#include <gshard/reduce/reduction.hpp>
#include <gshard/reduce/total.hpp>

// Variances, and reductions of truth values. With dimensions as template arguments, as `variance<0, 2>(x)`, negative
// ones counted from the end, they wait for the spec of their result or are expressions of such reductions; without,
// they reduce all elements: to a number on the host, for a recorded tensor to a recorded scalar. They communicate and
// throw as sum and mean.

namespace gshard {

namespace detail {

/// Returns the result of a reduction with the reduced dimensions of `Along` again, of extent 1.
template <class Along, int Rank, int Dimension = 0, class X>
auto with_reduced_dimensions(X const& x) {
  if constexpr (Dimension == Rank) return x;
  else if constexpr (Along::reduced[Dimension])
    return with_reduced_dimensions<Along, Rank, Dimension + 1>(expand_dims<Dimension>(x));
  else return with_reduced_dimensions<Along, Rank, Dimension + 1>(x);
}

/// Returns count / (count - correction). Throws OptionError unless 0 <= correction < count; of no elements, 1.
inline double variance_factor(std::int64_t count, std::int64_t correction) {
  if (count == 0) return 1;
  require_option(correction >= 0 && correction < count, "correction", correction,
                 "at least 0 and below the number of elements");
  return static_cast<double>(count) / static_cast<double>(count - correction);
}

}  // namespace detail

namespace detail {

/// Returns the tensor of an operand of `variance`. Throws StateError if it is unset.
template <class Value>
auto const& checked_for_variance(Value const& value) {
  require_set("variance", {{"x", value_of(value)}});
  return value_of(value);
}

/// Returns the squares of value - average, times `factor`, in the elements of `value`. `average` has no gradient:
/// through the mean none flows.
template <class Value, AnyTensor Average>
auto squared_deviations(Value const& value, Average const& average, double factor) {
  using T = typename ValueTensor<Value>::value_type;
  if constexpr (is_rounded<T>) return cast<T>(square(cast<Computed<T>>(value) - average) * factor);
  else return square(value - average) * factor;
}

/// Returns the mean over dimensions, not rounded to BFloat16: a mean that is rounded first would add the square of what
/// it lost to the variance.
template <int... Given, AnyTensor Tensor>
auto unrounded_mean(Tensor const& x) {
  if constexpr (is_rounded<typename Tensor::value_type>)
    return mean<Given...>(cast<Computed<typename Tensor::value_type>>(x));
  else return mean<Given...>(x);
}

}  // namespace detail

/// Returns the variance over dimensions: the mean of (x - mean)^2, times n / (n - correction) for n elements (Bessel's
/// correction: 1). NaN if there are no elements. Two passes over x, so that no digits cancel. x is of floating point.
/// Communication: that of two means. Gradient: 2 (x - mean) / (n - correction).
/// Throws OptionError unless 0 <= correction < n.
template <int First, int... Rest, TensorOperand X>
auto variance(X&& x, std::int64_t correction = 0) {
  auto const& value = detail::evaluated(std::forward<X>(x));
  auto const& tensor = detail::checked_for_variance(value);
  using Tensor = detail::ValueTensor<X>;
  using Along = detail::Dimensions<Tensor, First, Rest...>;
  double const factor = detail::variance_factor(Along::count(tensor.extents()), correction);
  auto const average =
      detail::with_reduced_dimensions<Along, Tensor::rank>(eval(detail::unrounded_mean<First, Rest...>(tensor)));
  return mean<First, Rest...>(detail::squared_deviations(value, average, factor));
}

/// Returns the variance of all elements. Throws as above.
template <TensorOperand X>
auto variance(X&& x, std::int64_t correction = 0) {
  auto const& value = detail::evaluated(std::forward<X>(x));
  auto const& tensor = detail::checked_for_variance(value);
  double const factor = detail::variance_factor(tensor.size(), correction);
  auto const average = [&]<int... Dimension>(std::integer_sequence<int, Dimension...>) {
    return shard<Spec<>>(detail::unrounded_mean<Dimension...>(tensor));
  }(std::make_integer_sequence<int, detail::ValueTensor<X>::rank>{});
  return mean(detail::squared_deviations(value, average, factor));
}

/// Returns the square root of the variance over dimensions. Its derivative is infinite where it is 0.
template <int First, int... Rest, TensorOperand X>
auto standard_deviation(X&& x, std::int64_t correction = 0) {
  return sqrt(variance<First, Rest...>(std::forward<X>(x), correction));
}

/// Returns the square root of the variance of all elements.
template <TensorOperand X>
auto standard_deviation(X&& x, std::int64_t correction = 0) {
  if constexpr (detail::Recorded<X>) return sqrt(variance(std::forward<X>(x), correction));
  else return Kokkos::sqrt(variance(std::forward<X>(x), correction));
}

/// Returns the number of elements over dimensions that are not 0, of type std::int64_t. NaN counts.
template <int First, int... Rest, PointwiseOperand X>
auto count_nonzero(X&& x) {
  return sum<First, Rest...>(not_equal(std::forward<X>(x), 0));
}

/// Returns the number of all elements that are not 0.
template <PointwiseOperand X>
std::int64_t count_nonzero(X&& x) {
  return sum(not_equal(std::forward<X>(x), 0));
}

/// Returns 1 where an element over dimensions is not 0, else 0; 0 of no elements. Of type int.
template <int First, int... Rest, PointwiseOperand X>
auto any(X&& x) {
  return greater(count_nonzero<First, Rest...>(std::forward<X>(x)), 0);
}

/// Returns whether an element is not 0.
template <PointwiseOperand X>
bool any(X&& x) {
  return count_nonzero(std::forward<X>(x)) > 0;
}

/// Returns 1 where all elements over dimensions are not 0, else 0; 1 of no elements. Of type int.
template <int First, int... Rest, PointwiseOperand X>
auto all(X&& x) {
  return equal(sum<First, Rest...>(equal(std::forward<X>(x), 0)), 0);
}

/// Returns whether all elements are not 0.
template <PointwiseOperand X>
bool all(X&& x) {
  return sum(equal(std::forward<X>(x), 0)) == 0;
}

}  // namespace gshard
