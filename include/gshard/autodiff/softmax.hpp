// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/autodiff/tape.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/reduce/row_values.hpp>
#include <gshard/reduce/softmax.hpp>

namespace gshard {

namespace detail {

template <class T>
struct ProductTerm {
  T const* left;
  T const* right;
  KOKKOS_FORCEINLINE_FUNCTION double operator()(std::int64_t position, std::int64_t, std::int64_t) const {
    return static_cast<double>(Computed<T>(left[position]) * Computed<T>(right[position]));
  }
};

/// p * (dp - sum(p * dp)) of softmax; dy - exp(y) * sum(dy) of its logarithm.
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

template <SoftmaxForm Form, int Dimension, AnyTensor Tensor>
Tensor gradient_of_softmax(Tensor const& values, Tensor const& gradients) {
  Tensor const result(uninitialized, values.mesh(), values.extents());
  record_kernel("softmax gradient", result, values, gradients);
  run_softmax_gradient<typename Tensor::memory_space, typename Tensor::value_type, Form>(
      block_rows<Dimensions<Tensor, Dimension>>(values), values.data(), gradients.data(), result.data());
  return result;
}

/// exp(x - y) * dy of y = log_sum_exp(x); 0 where y is minus infinity.
template <class T>
struct LogSumExpGradient {
  T* result;
  T const* elements;
  T const* results;
  T const* gradients;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    Computed<T> const sum = results[row];
    Computed<T> const bounded = sum < Kokkos::Experimental::finite_min_v<Computed<T>> ? Computed<T>(0) : sum;
    result[position] =
        static_cast<T>(loop_exp(Computed<T>(elements[position]) - bounded) * Computed<T>(gradients[row]));
  }
};

template <int Dimension, AnyTensor Tensor, AnyTensor Rows>
Tensor gradient_of_log_sum_exp(Tensor const& x, Rows const& results, Rows const& gradients) {
  Tensor const result(uninitialized, x.mesh(), x.extents());
  broadcast<typename Tensor::memory_space>(
      "gshard::log_sum_exp_backward", x.local_extents(), Dimensions<Tensor, Dimension>::reduced,
      LogSumExpGradient<typename Tensor::value_type>{result.data(), x.data(), results.data(), gradients.data()});
  return result;
}

}  // namespace detail

/// softmax of a recorded tensor. Backward, one number for each row is summed over the axes that split the dimension.
template <int Dimension, AnyTensor Tensor>
Var<Tensor> softmax(Var<Tensor> const& x) {
  Tensor const result = softmax<Dimension>(x.value());
  return x.tape().record(result, [slot = x.slot(), result](Tensor const& gradient) {
    slot.add(detail::gradient_of_softmax<detail::SoftmaxForm::plain, Dimension>(result, gradient));
  });
}

/// log_softmax of a recorded tensor. Backward as softmax.
template <int Dimension, AnyTensor Tensor>
Var<Tensor> log_softmax(Var<Tensor> const& x) {
  Tensor const result = log_softmax<Dimension>(x.value());
  return x.tape().record(result, [slot = x.slot(), result](Tensor const& gradient) {
    slot.add(detail::gradient_of_softmax<detail::SoftmaxForm::logarithm, Dimension>(result, gradient));
  });
}

/// log_sum_exp of a recorded tensor. Nothing is sent backward.
template <int Dimension, AnyTensor Tensor>
auto log_sum_exp(Var<Tensor> const& x) {
  auto const result = log_sum_exp<Dimension>(x.value());
  return x.tape().record(
      result, [slot = x.slot(), x = x.value(), result](std::remove_const_t<decltype(result)> const& gradient) {
        slot.add(detail::gradient_of_log_sum_exp<Dimension>(x, result, gradient));
      });
}

}  // namespace gshard
