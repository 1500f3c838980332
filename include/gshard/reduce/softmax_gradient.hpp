// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/compiled.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/kernels/broadcast.hpp>
#include <gshard/reduce/kernels/softmax.hpp>
#include <gshard/reduce/row_values.hpp>
#include <gshard/reduce/local/rules.hpp>
#include <gshard/tensor/record_kernel.hpp>

// Gradients of softmax, its logarithm, and the logarithm of a sum of powers.

namespace gshard::detail {

/// Product of two elements.
template <class T>
struct ProductTerm {
  T const* left;
  T const* right;
  KOKKOS_FORCEINLINE_FUNCTION double operator()(std::int64_t position, std::int64_t, std::int64_t) const {
    return static_cast<double>(Computed<T>(left[position]) * Computed<T>(right[position]));
  }
};

/// Gradient of p = softmax(x): dx = p * (dp - sum(p * dp)); of its logarithm y: dx = dy - exp(y) * sum(dy).
template <SoftmaxForm Form, class T>
struct SoftmaxGradient {
  T* result;
  T const* values;
  T const* gradients;
  double const* sums;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    Computed<T> const value = values[position];
    Computed<T> const gradient = gradients[position];
    Computed<T> const sum = static_cast<Computed<T>>(sums[row]);
    if constexpr (Form == SoftmaxForm::plain) result[position] = static_cast<T>(value * (gradient - sum));
    else result[position] = static_cast<T>(gradient - loop_exp(value) * sum);
  }
};

/// Computes the gradient of softmax, or of its logarithm, from its result and the gradient of that. Communication: one
/// all-reduce of one number for each row over the axes that split the dimension.
template <class MemorySpace, class T, SoftmaxForm Form>
void run_softmax_gradient(BlockRows const& rows, T const* values, T const* gradients, T* result) {
  AlongShape const shape(rows.extents(), rows.dimension);
  if (Form == SoftmaxForm::plain && shape.inner == 1 && !shape.has_few_long_rows() && rows.group().size == 1)
    return for_each_row<MemorySpace>(
        "gshard::softmax_backward", shape.outer,
        SoftmaxRowsBackward<T, AllColumns>{values, gradients, result, shape.length, {}, Computed<T>(1)});
  using Rule = Combining<comm::Reduction::sum, double>;
  Scratch<MemorySpace> scratch(rows.memory());
  double const* sums = nullptr;
  if constexpr (Form == SoftmaxForm::plain) sums = row_values<Rule>(scratch, rows, ProductTerm<T>{values, gradients});
  else sums = row_values<Rule>(scratch, rows, ElementTerm<Summing, double, LeafKernel<T>>{{gradients}});
  broadcast<MemorySpace>("gshard::softmax_backward", rows.extents(), rows.reduced,
                         SoftmaxGradient<Form, T>{result, values, gradients, sums});
}
GSHARD_COMPILED_FLOATS(run_softmax_gradient, SoftmaxForm::plain)
GSHARD_COMPILED_FLOATS(run_softmax_gradient, SoftmaxForm::logarithm)

/// Returns the gradient of softmax along `Dimension`, or of its logarithm, from its result and the gradient of that.
template <SoftmaxForm Form, int Dimension, AnyTensor Gradient, AnyTensor Values>
Gradient gradient_of_softmax(Values const& values, Gradient const& gradients) {
  Gradient const result(uninitialized, values.mesh(), values.extents());
  record_kernel("softmax gradient", result, values, gradients);
  run_softmax_gradient<typename Gradient::memory_space, typename Gradient::value_type, Form>(
      block_rows<Dimensions<Values, Dimension>>(values), values.data(), gradients.data(), result.data());
  return result;
}

/// Gradient of y = log_sum_exp(x): dx = exp(x - y) * dy; 0 where y is minus infinity. Takes y and the difference in
/// double: with y rounded to T, the powers of a row would not add up to 1.
template <class T>
struct LogSumExpGradient {
  T* result;
  T const* elements;
  double const* results;
  T const* gradients;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    double const sum = results[row];
    double const bounded = sum < Kokkos::Experimental::finite_min_v<double> ? 0 : sum;
    double const difference = static_cast<double>(Computed<T>(elements[position])) - bounded;
    result[position] = static_cast<T>(loop_exp(static_cast<Computed<T>>(difference)) * Computed<T>(gradients[row]));
  }
};

/// Returns the gradient of log_sum_exp along `Dimension`, from its operand, its unrounded result and the gradient of
/// that.
template <int Dimension, AnyTensor Gradient, AnyTensor Tensor, AnyTensor Results, AnyTensor Gradients>
Gradient gradient_of_log_sum_exp(Tensor const& x, Results const& results, Gradients const& gradients) {
  Gradient const result(uninitialized, x.mesh(), x.extents());
  broadcast<typename Tensor::memory_space>(
      "gshard::log_sum_exp_backward", x.local_extents(), Dimensions<Tensor, Dimension>::reduced,
      LogSumExpGradient<typename Tensor::value_type>{result.data(), x.data(), results.data(), gradients.data()});
  return result;
}

}  // namespace gshard::detail
