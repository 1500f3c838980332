// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include <Kokkos_Core.hpp>

#include <gshard/optim/optimizer.hpp>

namespace gshard::optim {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.98;
  double epsilon = 1e-9;
  double weight_decay = 0;
  /// Gradients are scaled down so that their common norm is at most this; 0 leaves them as they are.
  double largest_norm = 0;
};

namespace detail {

template <class T, class Gradient, class Weights>
struct AdamWKernel {
  Weights weights;
  Gradient const* gradient;
  T* mean;
  T* square;
  T scale;
  T beta1;
  T beta2;
  T mean_correction;
  T square_correction;
  T rate;
  T epsilon;
  T decay;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    T const g = scale * static_cast<T>(gradient[i]);
    T const m = beta1 * mean[i] + (T(1) - beta1) * g;
    T const v = beta2 * square[i] + (T(1) - beta2) * g * g;
    mean[i] = m;
    square[i] = v;
    T const value = weights.get(i);
    weights.set(i,
                value - rate * (m * mean_correction / (Kokkos::sqrt(v * square_correction) + epsilon) + decay * value));
  }
};

template <class Exact>
struct AdamWState {
  static constexpr int sums = 0;
  Exact mean;
  Exact square;

  AdamWState(AdamWOptions const&, typename Exact::mesh_type const& mesh, Extents const& extents)
      : mean(mesh, extents), square(mesh, extents) {}

  template <AnyTensor Gradient, class Weights>
  void apply(AdamWOptions const& options, Step const& step, Gradient const& gradient, Weights const& weights,
             std::span<double const>) {
    using T = typename Exact::value_type;
    double const number = static_cast<double>(step.number);
    gshard::detail::record_kernel("adamw", mean, mean, square, gradient);  // the weights are as the mean
    gshard::detail::launch<typename Exact::memory_space>(
        "gshard::adamw", gradient.local_size(),
        AdamWKernel<T, typename Gradient::value_type, Weights>{
            weights, gradient.data(), mean.data(), square.data(), static_cast<T>(step.scale),
            static_cast<T>(options.beta1), static_cast<T>(options.beta2),
            static_cast<T>(1 / (1 - std::pow(options.beta1, number))),
            static_cast<T>(1 / (1 - std::pow(options.beta2, number))), static_cast<T>(step.rate),
            static_cast<T>(options.epsilon), static_cast<T>(options.weight_decay)});
  }
};

}  // namespace detail

/// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101, Algorithm 2): with the gradient g of step
/// t, m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, and w -= rate (m' / (sqrt(v') + epsilon) +
/// weight_decay w), where m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t). One kernel for each parameter. `Marks`:
/// SplitOver, MasterWeights.
template <class... Marks>
class AdamW : public detail::OptimizerOf<AdamWOptions, detail::AdamWState, Marks...> {
 public:
  explicit AdamW(AdamWOptions const& options = {})
      : detail::OptimizerOf<AdamWOptions, detail::AdamWState, Marks...>(options) {}
};

}  // namespace gshard::optim
