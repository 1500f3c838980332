// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/var.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/expr/pointwise.hpp>
#include <gshard/expr/reads.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/kernels/broadcast.hpp>
#include <gshard/reduce/kernels/softmax.hpp>
#include <gshard/reduce/row_values.hpp>
#include <gshard/reduce/local/rules.hpp>
#include <gshard/reduce/run_on_expression.hpp>
#include <gshard/reduce/softmax_gradient.hpp>

namespace gshard {

namespace error {

template <class T>
struct SoftmaxOfIntegers {
  static_assert(
      always_false<T>,
      "gshard: softmax, log_softmax and log_sum_exp are of floating point; give them a tensor of float, double or BFloat16");
};

}  // namespace error

namespace detail {

/// `value`, or what is nearest to it in [-bound, bound]; NaN for NaN.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION T bounded(T value, T bound) {
  return value > bound ? bound : value < -bound ? -bound : value;
}

/// exp(score - shift of its row), the shift being brought into [-bound, bound].
template <class T, class Kernel>
struct PowerTerm {
  Kernel kernel;
  T const* shifts;
  T bound;
  KOKKOS_FORCEINLINE_FUNCTION double operator()(std::int64_t position, std::int64_t row, std::int64_t) const {
    return static_cast<double>(loop_exp(kernel(position) - bounded(shifts[row], bound)));
  }
};

/// The shifts, which are the largest scores, and the sums of powers of rows: two all-reduces of one number for each
/// row.
template <class T>
struct PowerSums {
  T const* shifts;
  double* sums;
};

template <class MemorySpace, class Kernel, class T>
PowerSums<T> power_sums(Scratch<MemorySpace>& scratch, BlockRows const& rows, Kernel const& kernel, T bound) {
  T const* const shifts =
      row_values<Combining<comm::Reduction::maximum, T>>(scratch, rows, ElementTerm<Summing, T, Kernel>{kernel});
  double* const sums =
      row_values<Combining<comm::Reduction::sum, double>>(scratch, rows, PowerTerm<T, Kernel>{kernel, shifts, bound});
  return {shifts, sums};
}

template <SoftmaxForm Form>
struct SumsToFactors {
  double* sums;
  KOKKOS_FUNCTION void operator()(std::int64_t row) const { sums[row] = softmax_factor<Form>(sums[row]); }
};

template <SoftmaxForm Form, class Result, class T, class Kernel>
struct SoftmaxOfElement {
  Kernel kernel;
  T const* shifts;
  double const* factors;
  Result* results;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t position, std::int64_t row) const {
    results[position] =
        static_cast<Result>(softmax_value<Form>(kernel(position), shifts[row], static_cast<T>(factors[row])));
  }
};

/// The mistake of a softmax of this expression along `Dimension`; void for none.
template <class Ready, int Dimension>
using SoftmaxMistake = typename FirstMistake<
    DimensionsMistake<FirstTensor<Ready>::rank, Dimension>, PartialSumMistake<FirstTensor<Ready>, true>,
    std::conditional_t<std::is_integral_v<ValueOf<Ready>>, error::SoftmaxOfIntegers<ValueOf<Ready>>, void>>::type;

/// Computes softmax, or its logarithm, of the elements of `kernel` along `rows`. Compiled once for each kernel.
/// Communication: two all-reduces of one number for each row over the axes that split the dimension.
template <class MemorySpace, class Result, SoftmaxForm Form, class Kernel = LeafKernel<Result>>
void run_softmax(BlockRows const& rows, Kernel const& kernel, Result* result) {
  using T = Computed<Result>;
  AlongShape const shape(rows.extents(), rows.dimension);
  if (rows.group().size == 1 && !shape.has_few_long_rows())
    return softmax_of_block<MemorySpace, Form>(kernel, result, shape);
  Scratch<MemorySpace> scratch(rows.memory());
  PowerSums<T> const row = power_sums(scratch, rows, kernel, highest_of<T>());
  launch<MemorySpace>("gshard::softmax", shape.rows(), shape.rows() <= small_row, SumsToFactors<Form>{row.sums});
  broadcast<MemorySpace>("gshard::softmax", rows.extents(), rows.reduced,
                         SoftmaxOfElement<Form, Result, T, Kernel>{kernel, row.shifts, row.sums, result});
}
GSHARD_COMPILED_FLOATS(run_softmax, SoftmaxForm::plain)
GSHARD_COMPILED_FLOATS(run_softmax, SoftmaxForm::logarithm)

template <SoftmaxForm Form, int Dimension, class Ready>
auto softmax_along(Ready const& ready) {
  Kokkos::Profiling::ScopedRegion const region("gshard::softmax");
  using First = FirstTensor<Ready>;
  using Along = Dimensions<First, Dimension>;
  using Space = typename First::memory_space;
  using Result = typename StoredType<Ready>::type;
  auto const& first = first_tensor(ready);
  ShardedTensor<typename First::mesh_type, typename First::spec_type, Result, Space> const result(
      uninitialized, first.mesh(), first.extents());
  BlockRows const rows = block_rows<Along>(first);
  if (rows.count() == 0) return result;
  first.memory().ledger().add_work("softmax", 0, saturated_sum(block_bytes(result), bytes_read(ready)));
  run_softmax<Space, Result, Form>(rows, kernel_of(ready), result.data());
  return result;
}

/// log(sum) + shift, with the shift bounded as in the powers. With a finite shift the powers of minus infinity alone
/// add up to 0 and that of infinity is infinity, and so are their logarithms what they should be; without it, both are
/// NaN. Stores it twice: as an element of the result, and unrounded for the gradient.
template <class Result, class T>
struct LogSumOfRow {
  static constexpr T bound = Kokkos::Experimental::finite_max_v<T>;
  T const* shifts;
  double const* sums;
  Result* results;
  double* unrounded;
  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    double const value = static_cast<double>(bounded(shifts[row], bound)) + Kokkos::log(sums[row]);
    results[row] = static_cast<Result>(value);
    unrounded[row] = value;
  }
};

/// Computes log(sum(exp(x))) of each row of the elements x of `kernel`, rounded to `result` and `unrounded`, which may
/// be the same. Communicates as run_softmax.
template <class MemorySpace, class Result, class Kernel = LeafKernel<Result>>
void run_log_sum_exp(BlockRows const& rows, Kernel const& kernel, Result* result, double* unrounded) {
  using LogSum = LogSumOfRow<Result, Computed<Result>>;
  Scratch<MemorySpace> scratch(rows.memory());
  auto const row = power_sums(scratch, rows, kernel, LogSum::bound);
  std::int64_t const count = rows.count();
  launch<MemorySpace>("gshard::log_sum_exp", count, count <= small_row,
                      LogSum{row.shifts, row.sums, result, unrounded});
}
GSHARD_COMPILED_FLOATS(run_log_sum_exp)

/// Returns the logarithms of the sums, and as residuals the same in double.
template <int Dimension, class Ready>
auto log_sum_exp_along(Ready const& ready) {
  Kokkos::Profiling::ScopedRegion const region("gshard::log_sum_exp");
  using First = FirstTensor<Ready>;
  using Along = Dimensions<First, Dimension>;
  using Value = typename StoredType<Ready>::type;
  auto const& first = first_tensor(ready);
  typename Along::template Rows<Value> const result(uninitialized, first.mesh(), Along::kept_extents(first.extents()));
  auto const unrounded = [&] {
    if constexpr (std::is_same_v<Value, double>) return result;
    else return typename Along::template Rows<double>(uninitialized, result.mesh(), result.extents());
  }();
  run_log_sum_exp<typename First::memory_space>(block_rows<Along>(first), kernel_of(ready), result.data(),
                                                unrounded.data());
  return WithResiduals{result, unrounded};
}

/// Softmax along `Dimension`, or its logarithm, as an operation with a gradient.
template <SoftmaxForm Form, int Dimension>
struct Softmax {
  template <int>
  static constexpr Reads reads = Reads::result();

  template <class Ready>
  auto forward(Ready const& x) const {
    using Mistake = SoftmaxMistake<Ready, Dimension>;
    if constexpr (std::is_void_v<Mistake>) {
      return softmax_along<Form, Dimension>(x);
    } else {
      using Refused [[maybe_unused]] = decltype(Mistake{});
      return first_tensor(x);
    }
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [dx] = gradients;
    using Gradient = Cotangent<typename std::remove_cvref_t<decltype(dx)>::tensor_type>;
    dx.add(gradient_of_softmax<Form, Dimension, Gradient>(saved.result, gradient));
  }
};

/// Logarithm of the sum of exp(x) along `Dimension`, as an operation with a gradient.
template <int Dimension>
struct LogSumExp {
  template <int>
  static constexpr Reads reads = Reads::operand(0);

  template <class Ready>
  auto forward(Ready const& x) const {
    using Mistake = SoftmaxMistake<Ready, Dimension>;
    if constexpr (std::is_void_v<Mistake>) {
      return log_sum_exp_along<Dimension>(x);
    } else {
      using Refused [[maybe_unused]] = decltype(Mistake{});
      return first_tensor(x);
    }
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using Gradient = Cotangent<typename std::remove_cvref_t<decltype(dx)>::tensor_type>;
    dx.add(gradient_of_log_sum_exp<Dimension, Gradient>(x, saved.residuals, gradient));
  }
};

}  // namespace detail

// Softmax along a dimension, split or not, of a tensor, a recorded tensor or a pointwise expression, which is read in
// the same pass. Dimensions are template arguments, negative ones counted from the end.
// Communication: two all-reduces of one number for each row over the axes that split the dimension, of the maximum and
// of the sum of powers. The gradients of softmax and log_softmax: one all-reduce of one number for each row over the
// same axes; that of log_sum_exp: none. Throws StateError if a tensor is unset, MeshError or ExtentError if tensors do
// not belong together.

/// Returns exp(x) over its sum along `Dimension`, as `softmax<-1>(scores)`, in the layout of x. The largest element of
/// each row is subtracted first, so that any finite scores will do. Scores of minus infinity, as masks leave them, have
/// weight 0; a row of them alone is NaN, as is one with infinity or NaN.
template <int Dimension, PointwiseOperand X>
auto softmax(X&& x) {
  return detail::run_on_expression(detail::Softmax<detail::SoftmaxForm::plain, Dimension>{}, "softmax",
                                   std::forward<X>(x));
}

/// Returns log(softmax(x)) without its underflow: x - log_sum_exp(x). Scores of minus infinity stay so, and NaN is
/// where it is in softmax.
template <int Dimension, PointwiseOperand X>
auto log_softmax(X&& x) {
  return detail::run_on_expression(detail::Softmax<detail::SoftmaxForm::logarithm, Dimension>{}, "log_softmax",
                                   std::forward<X>(x));
}

/// Returns the logarithm of the sum of exp(x) along `Dimension`; the other dimensions keep their axes. Minus infinity
/// of nothing, or of minus infinity alone; infinity where an element is.
template <int Dimension, PointwiseOperand X>
auto log_sum_exp(X&& x) {
  return detail::run_on_expression(detail::LogSumExp<Dimension>{}, "log_sum_exp", std::forward<X>(x));
}

}  // namespace gshard
