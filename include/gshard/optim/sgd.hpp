// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include <Kokkos_Core.hpp>

#include <gshard/optim/optimizer.hpp>

namespace gshard::optim {

struct SgdOptions {
  /// How much of the last step's velocity is kept, at least 0 and less than 1; without any, nothing is held beside the
  /// parameter.
  double momentum = 0;
  /// Whether the gradient counts as if it were taken one step of the velocity further on.
  bool nesterov = false;
  double weight_decay = 0;  ///< 0 or more
  /// Gradients are scaled down so that their common norm is at most this; 0 leaves them as they are, infinity too but
  /// asks for the norm.
  double max_norm = 0;
};

namespace detail {

inline SgdOptions const& checked(SgdOptions const& options) {
  using namespace gshard::detail;
  require_rate("momentum", options.momentum);
  require_non_negative("weight_decay", options.weight_decay);
  require_max_norm(options.max_norm);
  return options;
}

template <class T, class Gradient, class Weights>
struct SgdKernel {
  Weights weights;
  Gradient const* gradient;
  T* velocity;  ///< null without momentum
  T scale;
  T momentum;
  bool nesterov;
  T rate;
  T decay;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    T const value = weights.get(i);
    T const g = scale * static_cast<T>(gradient[i]) + decay * value;
    T change = g;
    if (velocity != nullptr) {
      T const v = momentum * velocity[i] + g;
      velocity[i] = v;
      change = nesterov ? g + momentum * v : v;
    }
    weights.set(i, value - rate * change);
  }
};

template <class Exact>
struct SgdState {
  static constexpr int sums = 0;
  Exact velocity{};

  SgdState(SgdOptions const& options, typename Exact::mesh_type const& mesh, Extents const& extents) {
    if (options.momentum != 0) velocity = Exact(mesh, extents);
  }

  template <AnyTensor Gradient, class Weights>
  void apply(SgdOptions const& options, Step const& step, Gradient const& gradient, Weights const& weights,
             std::span<double const>) {
    using T = typename Exact::value_type;
    if (velocity.is_set()) gshard::detail::record_kernel("sgd", velocity, velocity, gradient);
    else gshard::detail::record_kernel("sgd", gradient, gradient);
    gshard::detail::launch<typename Exact::memory_space>(
        "gshard::sgd", gradient.local_size(),
        SgdKernel<T, typename Gradient::value_type, Weights>{
            weights, gradient.data(), velocity.data(), static_cast<T>(step.scale), static_cast<T>(options.momentum),
            options.nesterov, static_cast<T>(step.rate), static_cast<T>(options.weight_decay)});
  }
};

}  // namespace detail

/// Stochastic gradient descent with momentum (Sutskever et al. 2013): with g = gradient + weight_decay w, v = momentum
/// v + g and w -= rate v, or with Nesterov's momentum w -= rate (g + momentum v). One kernel for each parameter.
/// `Marks`: SplitOver, MasterWeights. Throws OptionError for options that are not allowed.
template <class... Marks>
class Sgd : public detail::OptimizerOf<SgdOptions, detail::SgdState, Marks...> {
 public:
  explicit Sgd(SgdOptions const& options = {})
      : detail::OptimizerOf<SgdOptions, detail::SgdState, Marks...>(detail::checked(options)) {}
};

}  // namespace gshard::optim
