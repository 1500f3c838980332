// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/options.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/kernels/layer_norm.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/parallelism.hpp>

namespace gshard::nn {

namespace detail {

/// Layer norm as an operation with a gradient. Residual: statistics (..., 2), the mean and 1 / sqrt(variance + epsilon)
/// of each row.
struct LayerNormOperation {
  double epsilon;

  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::operand(0) | Reads::operand(1) : Reads::operand(0);

  template <AnyTensor Tensor, AnyTensor Gain, AnyTensor Bias>
  auto forward(Tensor const& x, Gain const& gain, Bias const& bias) const {
    using T = typename Tensor::value_type;
    using Space = typename Tensor::memory_space;
    static_assert(Tensor::layout.dimensions[Tensor::rank - 1].empty(),
                  "gshard: layer_norm works on a whole last dimension; reshard x so that it is `_`");
    static_assert(Tensor::layout.partial.empty(),
                  "gshard: layer_norm is not linear in x; reduce x first: `reshard` to a spec without `partial`");
    static_assert(
        is_vector_beside<Gain, Tensor>() && is_vector_beside<Bias, Tensor>(),
        "gshard: gain and bias of layer_norm are vectors (M) of the elements of x, whole on every rank; convert them, or reshard them to Spec<_>");
    require_floating_point<Tensor>();
    require_vector_beside("layer_norm", "gain", gain, "x", x);
    require_vector_beside("layer_norm", "bias", bias, "x", x);
    gshard::detail::require_positive("epsilon", epsilon);
    Tensor const result = empty_like(x);
    Extents pair_extents = x.extents();
    pair_extents[Tensor::rank - 1] = 2;
    using Number = gshard::detail::Computed<T>;
    using Mesh = typename Tensor::mesh_type;
    ShardedTensor<Mesh, spec_of<Mesh, Tensor::layout>, Number, Space> const statistics(uninitialized, x.mesh(),
                                                                                       pair_extents);
    record_kernel("layer_norm", result, x, gain, bias, statistics);
    layer_norm<Space, T>(rows_of(x), gain.local(), bias.local(), rows_of(result), rows_of(statistics), epsilon);
    return WithResiduals{result, statistics};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x, gain, bias] = saved.operands;
    auto const& [dx, dgain, dbias] = gradients;
    auto const& statistics = saved.residuals;
    using Tensor = std::remove_cvref_t<decltype(x)>;
    using T = typename Tensor::value_type;
    using Space = typename Tensor::memory_space;
    if constexpr (is_wanted<decltype(dx)>) {
      Tensor const x_gradient = empty_like(x);
      record_kernel("layer_norm gradient", x_gradient, x, gain, statistics, gradient);
      layer_norm_backward<Space, T>(rows_of(x), gain.local(), rows_of(statistics), rows_of(gradient),
                                    rows_of(x_gradient));
      dx.add(x_gradient);
    }
    if constexpr (is_wanted<decltype(dgain)> || is_wanted<decltype(dbias)>) {
      using Part = GradientPart<with_spec<Tensor, Spec<_>>, Tensor>;
      Part gain_part(uninitialized, gain.mesh(), gain.extents());
      Part bias_part(uninitialized, gain.mesh(), gain.extents());
      record_kernel("layer_norm parameters gradient", gain_part, bias_part, x, statistics, gradient);
      layer_norm_parameters_backward<Space, T>(rows_of(x), rows_of(statistics), rows_of(gradient), gain_part.local(),
                                               bias_part.local());
      dgain.add_part(std::move(gain_part));
      dbias.add_part(std::move(bias_part));
    }
  }
};

}  // namespace detail

/// Returns (x - mean) / sqrt(variance + epsilon) * gain + bias over the last dimension (Ba et al. 2016).
/// x (..., M), M whole; gain and bias (M), whole on every rank. Sums means and variances in double.
/// Communication: none; backward, one all-reduce each of the gradients of gain and bias over the axes that split x.
/// Throws ExtentError if gain or bias are not (M), OptionError unless epsilon is finite and above 0.
template <TensorOperand X, TensorOperand Gain, TensorOperand Bias>
auto layer_norm(X&& x, Gain&& gain, Bias&& bias, double epsilon = 1e-6) {
  return Differentiable(detail::LayerNormOperation{epsilon})(std::forward<X>(x), std::forward<Gain>(gain),
                                                             std::forward<Bias>(bias));
}

/// A layer norm with its gain and bias, which are M numbers each and whole on all ranks.
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct LayerNorm {
  Parameter<ShardedTensor<Mesh, Spec<_>, T, MemorySpace>> gain;
  Parameter<ShardedTensor<Mesh, Spec<_>, T, MemorySpace>> bias;

  /// Throws OptionError unless `model`, the M of the layer, is 1 or more.
  LayerNorm(Mesh const& mesh, Initializer& initializer, std::int64_t model)
      : gain(initializer.constant<ShardedTensor<Mesh, Spec<_>, T, MemorySpace>>(
            mesh, {gshard::detail::require_at_least("model", model, 1)}, 1, "norm gain")),
        bias(initializer.constant<ShardedTensor<Mesh, Spec<_>, T, MemorySpace>>(mesh, {model}, 0, "norm bias")) {}

  template <TensorOperand X>
  auto operator()(X&& x) {
    auto const& input = gshard::detail::evaluated(std::forward<X>(x));
    return layer_norm(input, bind(gain, input), bind(bias, input));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(gain);
    visit(bias);
  }
};

}  // namespace gshard::nn
