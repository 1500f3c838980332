// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include <Kokkos_Core.hpp>

#include <gshard/optim/kernels/root_of_squares.hpp>
#include <gshard/optim/optimizer.hpp>

namespace gshard::optim {

struct AdamWOptions {
  double beta1 = 0.9;       ///< at least 0 and less than 1
  double beta2 = 0.98;      ///< at least 0 and less than 1
  double epsilon = 1e-9;    ///< 0 or more
  double weight_decay = 0;  ///< 0 or more
  /// Gradients are scaled down so that their common norm is at most this; 0 leaves them as they are, infinity too but
  /// asks for the norm.
  double max_norm = 0;
};

namespace detail {

inline AdamWOptions const& checked(AdamWOptions const& options) {
  using namespace gshard::detail;
  require_rate("beta1", options.beta1);
  require_rate("beta2", options.beta2);
  require_non_negative("epsilon", options.epsilon);
  require_non_negative("weight_decay", options.weight_decay);
  require_max_norm(options.max_norm);
  return options;
}

template <class T, class Gradient, class Weights>
struct AdamWKernel {
  Weights weights;
  Gradient const* gradient;
  T* mean;
  T* root;  ///< of the second moment
  T scale;
  T beta1;
  T root_kept;   ///< sqrt(beta2)
  T root_added;  ///< sqrt(1 - beta2)
  T mean_correction;
  T root_correction;
  T rate;
  T epsilon;
  T decay;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    T const g = scale * static_cast<T>(gradient[i]);
    T const m = beta1 * mean[i] + (T(1) - beta1) * g;
    T const r = root_of_squares(root_kept * root[i], root_added * g);
    mean[i] = m;
    root[i] = r;
    T const value = weights.get(i);
    T const change = m == T(0) ? T(0) : m * mean_correction / (r * root_correction + epsilon);
    weights.set(i, value - rate * (change + decay * value));
  }
};

template <class Exact>
struct AdamWState {
  static constexpr int sums = 0;
  Exact mean;
  Exact root;

  AdamWState(AdamWOptions const&, typename Exact::mesh_type const& mesh, Extents const& extents)
      : mean(mesh, extents), root(mesh, extents) {}

  template <AnyTensor Gradient, class Weights>
  void apply(AdamWOptions const& options, Step const& step, Gradient const& gradient, Weights const& weights,
             std::span<double const>) {
    using T = typename Exact::value_type;
    double const number = static_cast<double>(step.number);
    gshard::detail::record_kernel("adamw", mean, mean, root, gradient);  // the weights are as the mean
    gshard::detail::launch<typename Exact::memory_space>(
        "gshard::adamw", gradient.local_size(),
        AdamWKernel<T, typename Gradient::value_type, Weights>{
            weights, gradient.data(), mean.data(), root.data(), static_cast<T>(step.scale),
            static_cast<T>(options.beta1), static_cast<T>(std::sqrt(options.beta2)),
            static_cast<T>(std::sqrt(1 - options.beta2)), static_cast<T>(1 / (1 - std::pow(options.beta1, number))),
            static_cast<T>(std::sqrt(1 / (1 - std::pow(options.beta2, number)))), static_cast<T>(step.rate),
            static_cast<T>(options.epsilon), static_cast<T>(options.weight_decay)});
  }
};

}  // namespace detail

/// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101, Algorithm 2): with the gradient g of step
/// t, m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, and w -= rate (m' / (sqrt(v') + epsilon) +
/// weight_decay w), where m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t). One kernel for each parameter. `Marks`:
/// SplitOver, MasterWeights.
///
/// Gradients may have any size that a float holds: of v its root is held. An element without a gradient so far moves by
/// weight decay alone, also where `epsilon` is 0. Throws OptionError for options that are not allowed.
template <class... Marks>
class AdamW : public detail::OptimizerOf<AdamWOptions, detail::AdamWState, Marks...> {
 public:
  explicit AdamW(AdamWOptions const& options = {})
      : detail::OptimizerOf<AdamWOptions, detail::AdamWState, Marks...>(detail::checked(options)) {}
};

}  // namespace gshard::optim
