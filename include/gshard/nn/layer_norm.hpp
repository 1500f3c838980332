// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/options.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/kernels/layer_norm.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/parallelism.hpp>

namespace gshard::nn {

/// Returns (x - mean) / sqrt(variance + epsilon) * gain + bias over the last dimension, which is whole (Ba et al.
/// 2016). x (..., M); gain and bias (M), whole on every rank. Local; the gradients of gain and bias are summed by one
/// all-reduce each over the axes that split x. Means and variances are summed in double. Throws ExtentError where gain
/// or bias are not (M), OptionError unless epsilon is finite and above 0.
template <class X, class Gain, class Bias>
auto layer_norm(X const& x, Gain const& gain, Bias const& bias, double epsilon = 1e-6) {
  using Tensor = detail::ValueTensor<X>;
  using Value = detail::ValueTensor<Gain>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static_assert(Tensor::layout.dimensions[Tensor::rank - 1].empty(),
                "gshard: layer_norm works on a whole last dimension; reshard x so that it is `_`");
  static_assert(Tensor::layout.partial.empty(),
                "gshard: layer_norm is not linear in x; reduce x first: `reshard` to a spec without `partial`");
  static_assert(
      detail::is_vector_beside<Value, Tensor>() && detail::is_vector_beside<detail::ValueTensor<Bias>, Tensor>(),
      "gshard: gain and bias of layer_norm are vectors (M) of the elements of x, whole on every rank; convert them, or reshard them to Spec<_>");
  Tensor const& input = detail::value_of(x);
  Value const& gains = detail::value_of(gain);
  detail::ValueTensor<Bias> const& biases = detail::value_of(bias);
  detail::require_vector_beside("layer_norm", "gain", gains, "x", input);
  detail::require_vector_beside("layer_norm", "bias", biases, "x", input);
  gshard::detail::require_positive("epsilon", epsilon);
  Tensor const output = detail::empty_like(input);
  Extents pair_extents = input.extents();
  pair_extents[Tensor::rank - 1] = 2;
  using Number = gshard::detail::Computed<T>;
  using Mesh = typename Tensor::mesh_type;
  ShardedTensor<Mesh, spec_of<Mesh, Tensor::layout>, Number, Space> const statistics(uninitialized, input.mesh(),
                                                                                     pair_extents);
  detail::record_kernel("layer_norm", output, input, gains, biases, statistics);
  detail::layer_norm<Space, T>(detail::rows_of(input), gains.local(), biases.local(), detail::rows_of(output),
                               detail::rows_of(statistics), epsilon);
  return detail::recorded_beside(
      std::tie(x, gain, bias), output,
      [input, gains, statistics, x_slot = detail::slot_of(x), gain_slot = detail::slot_of(gain),
       bias_slot = detail::slot_of(bias)](auto const& gradient) {
        if constexpr (detail::wants_gradient<decltype(x_slot)>) {
          Tensor const of_input = detail::empty_like(input);
          detail::record_kernel("layer_norm gradient", of_input, input, gains, statistics, gradient);
          detail::layer_norm_backward<Space, T>(detail::rows_of(input), gains.local(), detail::rows_of(statistics),
                                                detail::rows_of(gradient), detail::rows_of(of_input));
          x_slot.add(of_input);
        }
        if constexpr (detail::wants_gradient<decltype(gain_slot)> || detail::wants_gradient<decltype(bias_slot)>) {
          detail::GradientPart<Value, Tensor> gain_part(uninitialized, gains.mesh(), gains.extents());
          detail::GradientPart<Value, Tensor> bias_part(uninitialized, gains.mesh(), gains.extents());
          detail::record_kernel("layer_norm parameters gradient", gain_part, bias_part, input, statistics, gradient);
          detail::layer_norm_parameters_backward<Space, T>(detail::rows_of(input), detail::rows_of(statistics),
                                                           detail::rows_of(gradient), gain_part.local(),
                                                           bias_part.local());
          if constexpr (detail::wants_gradient<decltype(gain_slot)>) gain_slot.add_part(std::move(gain_part));
          if constexpr (detail::wants_gradient<decltype(bias_slot)>) bias_slot.add_part(std::move(bias_part));
        }
      });
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

  template <class X>
  auto operator()(X const& x) {
    return layer_norm(x, bind(gain, x), bind(bias, x));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(gain);
    visit(bias);
  }
};

}  // namespace gshard::nn
