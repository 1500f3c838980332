// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/options.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/kernels/rms_norm.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/parallelism.hpp>

namespace gshard::nn {

/// Returns x / sqrt(mean(x^2) + epsilon) * gain over the last dimension, which is whole (Zhang and Sennrich 2019).
/// x (..., M); gain (M), whole on every rank. Local; the gradient of the gain is summed by one all-reduce over the axes
/// that split x. Squares are summed in double.
/// Throws ExtentError where the gain is not (M), OptionError unless epsilon is finite and above 0.
template <class X, class Gain>
auto rms_norm(X const& x, Gain const& gain, double epsilon = 1e-6) {
  using Tensor = detail::ValueTensor<X>;
  using Value = detail::ValueTensor<Gain>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static_assert(Tensor::layout.dimensions[Tensor::rank - 1].empty(),
                "gshard: rms_norm works on a whole last dimension; reshard x so that it is `_`");
  static_assert(Tensor::layout.partial.empty(),
                "gshard: rms_norm is not linear in x; reduce x first: `reshard` to a spec without `partial`");
  static_assert(
      detail::is_vector_beside<Value, Tensor>(),
      "gshard: the gain of rms_norm is a vector (M) of the elements of x, whole on every rank; convert it, or reshard it to Spec<_>");
  Tensor const& input = detail::value_of(x);
  Value const& gains = detail::value_of(gain);
  detail::require_vector_beside("rms_norm", "gain", gains, "x", input);
  gshard::detail::require_positive("epsilon", epsilon);
  Tensor const output = detail::empty_like(input);
  Extents row_extents = input.extents();
  row_extents.pop_back();
  static constexpr Layout row_layout = [] {
    Layout layout = Tensor::layout;
    layout.dimensions.pop_back();
    return layout;
  }();
  using Number = gshard::detail::Computed<T>;
  using Mesh = typename Tensor::mesh_type;
  ShardedTensor<Mesh, spec_of<Mesh, row_layout>, Number, Space> const statistics(uninitialized, input.mesh(),
                                                                                 row_extents);
  detail::record_kernel("rms_norm", output, input, gains, statistics);
  detail::rms_norm<Space, T>(detail::rows_of(input), gains.local(), detail::rows_of(output), detail::row_of(statistics),
                             epsilon);
  return detail::recorded_beside(
      std::tie(x, gain), output,
      [input, gains, statistics, x_slot = detail::slot_of(x), gain_slot = detail::slot_of(gain)](auto const& gradient) {
        if constexpr (detail::wants_gradient<decltype(x_slot)>) {
          Tensor const of_input = detail::empty_like(input);
          detail::record_kernel("rms_norm gradient", of_input, input, gains, statistics, gradient);
          detail::rms_norm_backward<Space, T>(detail::rows_of(input), gains.local(), detail::row_of(statistics),
                                              detail::rows_of(gradient), detail::rows_of(of_input));
          x_slot.add(of_input);
        }
        if constexpr (detail::wants_gradient<decltype(gain_slot)>) {
          detail::GradientPart<Value, Tensor> part(uninitialized, gains.mesh(), gains.extents());
          detail::record_kernel("rms_norm gain gradient", part, input, statistics, gradient);
          detail::rms_norm_parameters_backward<Space, T>(detail::rows_of(input), detail::row_of(statistics),
                                                         detail::rows_of(gradient), part.local());
          gain_slot.add_part(std::move(part));
        }
      });
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

  template <class X>
  auto operator()(X const& x) {
    return rms_norm(x, bind(gain, x));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(gain);
  }
};

}  // namespace gshard::nn
