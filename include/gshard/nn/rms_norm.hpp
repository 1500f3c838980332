// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/options.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/kernels/rms_norm.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/parallelism.hpp>

namespace gshard::nn {

namespace detail {

/// Layout of one number for each row of a tensor (..., M).
constexpr Layout layout_of_row_numbers(Layout tensor) {
  tensor.dimensions.pop_back();
  return tensor;
}

/// Root-mean-square norm as an operation with a gradient. Residual: statistics (...), 1 / sqrt(mean(x^2) + epsilon) of
/// each row.
struct RmsNormOperation {
  double epsilon;

  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::operand(0) | Reads::operand(1) : Reads::operand(0);

  template <AnyTensor Tensor, AnyTensor Gain>
  auto forward(Tensor const& x, Gain const& gain) const {
    using T = typename Tensor::value_type;
    using Space = typename Tensor::memory_space;
    static_assert(Tensor::layout.dimensions[Tensor::rank - 1].empty(),
                  "gshard: rms_norm works on a whole last dimension; reshard x so that it is `_`");
    static_assert(Tensor::layout.partial.empty(),
                  "gshard: rms_norm is not linear in x; reduce x first: `reshard` to a spec without `partial`");
    static_assert(
        is_vector_beside<Gain, Tensor>(),
        "gshard: the gain of rms_norm is a vector (M) of the elements of x, whole on every rank; convert it, or reshard it to Spec<_>");
    require_floating_point<Tensor>();
    require_vector_beside("rms_norm", "gain", gain, "x", x);
    gshard::detail::require_positive("epsilon", epsilon);
    Tensor const result = empty_like(x);
    Extents row_extents = x.extents();
    row_extents.pop_back();
    using Number = gshard::detail::Computed<T>;
    using Mesh = typename Tensor::mesh_type;
    ShardedTensor<Mesh, spec_of<Mesh, layout_of_row_numbers(Tensor::layout)>, Number, Space> const statistics(
        uninitialized, x.mesh(), row_extents);
    record_kernel("rms_norm", result, x, gain, statistics);
    rms_norm<Space, T>(rows_of(x), gain.local(), rows_of(result), row_of(statistics), epsilon);
    return WithResiduals{result, statistics};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x, gain] = saved.operands;
    auto const& [dx, dgain] = gradients;
    auto const& statistics = saved.residuals;
    using Tensor = std::remove_cvref_t<decltype(x)>;
    using T = typename Tensor::value_type;
    using Space = typename Tensor::memory_space;
    if constexpr (is_wanted<decltype(dx)>) {
      Tensor const x_gradient = empty_like(x);
      record_kernel("rms_norm gradient", x_gradient, x, gain, statistics, gradient);
      rms_norm_backward<Space, T>(rows_of(x), gain.local(), row_of(statistics), rows_of(gradient), rows_of(x_gradient));
      dx.add(x_gradient);
    }
    if constexpr (is_wanted<decltype(dgain)>) {
      GradientPart<with_spec<Tensor, Spec<_>>, Tensor> part(uninitialized, gain.mesh(), gain.extents());
      record_kernel("rms_norm gain gradient", part, x, statistics, gradient);
      rms_norm_parameters_backward<Space, T>(rows_of(x), row_of(statistics), rows_of(gradient), part.local());
      dgain.add_part(std::move(part));
    }
  }
};

}  // namespace detail

/// Returns x / sqrt(mean(x^2) + epsilon) * gain over the last dimension (Zhang and Sennrich 2019).
/// x (..., M), M whole; gain (M), whole on every rank. Sums squares in double.
/// Communication: none; backward, one all-reduce of the gradient of gain over the axes that split x.
/// Throws ExtentError if gain is not (M), OptionError unless epsilon is finite and above 0.
template <TensorOperand X, TensorOperand Gain>
auto rms_norm(X&& x, Gain&& gain, double epsilon = 1e-6) {
  return Differentiable(detail::RmsNormOperation{epsilon})(std::forward<X>(x), std::forward<Gain>(gain));
}

/// A root-mean-square norm with its gain, which is M numbers and whole on all ranks.
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct RmsNorm {
  Parameter<ShardedTensor<Mesh, Spec<_>, T, MemorySpace>> gain;

  /// Throws OptionError unless `model`, the M of the layer, is 1 or more.
  RmsNorm(Mesh const& mesh, Initializer& initializer, std::int64_t model)
      : gain(initializer.constant<ShardedTensor<Mesh, Spec<_>, T, MemorySpace>>(
            mesh, {gshard::detail::require_at_least("model", model, 1)}, 1, "norm gain")) {}

  template <TensorOperand X>
  auto operator()(X&& x) {
    auto const& input = gshard::detail::evaluated(std::forward<X>(x));
    return rms_norm(input, bind(gain, input));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(gain);
  }
};

}  // namespace gshard::nn
