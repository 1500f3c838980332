// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include <Kokkos_Core.hpp>

#include <gshard/autodiff/tape.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/reduce/total.hpp>

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

template <class T, class MemorySpace>
struct AdamWKernel {
  T* value;
  T const* gradient;
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
    T const g = scale * gradient[i];
    T const m = beta1 * mean[i] + (T(1) - beta1) * g;
    T const v = beta2 * square[i] + (T(1) - beta2) * g * g;
    mean[i] = m;
    square[i] = v;
    value[i] -= rate * (m * mean_correction / (Kokkos::sqrt(v * square_correction) + epsilon) + decay * value[i]);
  }
};

}  // namespace detail

/// The norm of the gradients of all parameters of `model` together: each element counts once, however many ranks hold it. One all-reduce of one number for
/// each set of axes that splits some parameter.
template <class Model>
double gradient_norm(Model& model) {
  std::map<std::uint32_t, double> squares;
  gshard::detail::MeshState const* mesh = nullptr;
  model.for_each_parameter([&]<AnyTensor Tensor>(Parameter<Tensor>& parameter) {
    mesh = &parameter.value.mesh().state();
    double& sum = squares[Cotangent<Tensor>::layout.split().bits];
    if (!parameter.has_gradient()) return;
    sum += gshard::detail::local_total<gshard::detail::Norming>(parameter.gradient);
  });
  double total = 0;
  for (auto& [axes, sum] : squares) {
    comm::all_reduce(mesh->group(AxisSet{axes}), &sum, 1);
    total += sum;
  }
  return std::sqrt(total);
}

/// Forgets the gradients of all parameters of `model`.
template <class Model>
void clear_gradients(Model& model) {
  model.for_each_parameter([](auto& parameter) { parameter.clear_gradient(); });
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019). The moments are held as the parameters are. A model is anything with
/// `for_each_parameter(visit)`, which visits the same parameters in the same order each time.
template <class T = float, class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
class AdamW {
 public:
  explicit AdamW(AdamWOptions const& options = {}) : options_(options) {}

  /// Changes every parameter that has a gradient by one step, and forgets the gradients. Returns the norm of the gradients before any scaling; 0 where
  /// `largest_norm` asks for none.
  template <class Model>
  double step(Model& model, double learning_rate) {
    ++steps_;
    double const norm = options_.largest_norm > 0 ? gradient_norm(model) : 0;
    double const scale = norm > options_.largest_norm ? options_.largest_norm / norm : 1;
    std::size_t position = 0;
    model.for_each_parameter([&](auto& parameter) {
      if (position == moments_.size()) moments_.push_back(made_for(parameter.value.mesh().memory(), parameter.value.local_size()));
      Moments const& moments = moments_[position++];
      if (!parameter.has_gradient()) return;
      gshard::detail::record_kernel("adamw", parameter.value, parameter.value, parameter.value, parameter.gradient);  // the moments are as the value
      gshard::detail::launch<MemorySpace>("gshard::adamw", parameter.value.local_size(),
                                          kernel_for(parameter.value.data(), parameter.gradient.data(), moments, scale, learning_rate));
      parameter.clear_gradient();
    });
    return norm;
  }

  std::int64_t steps() const { return steps_; }

 private:
  struct Moments {
    std::shared_ptr<void> mean;
    std::shared_ptr<void> square;
  };

  static Moments made_for(MemoryPool& pool, std::int64_t count) {
    auto zeros = [&] {
      auto const storage = pool.template allocate<MemorySpace>(static_cast<std::size_t>(count) * sizeof(T));
      gshard::detail::fill_elements<MemorySpace>(static_cast<T*>(storage.get()), count, T(0));
      return storage;
    };
    return {zeros(), zeros()};
  }

  auto kernel_for(T* value, T const* gradient, Moments const& moments, double scale, double learning_rate) const {
    double const steps = static_cast<double>(steps_);
    return detail::AdamWKernel<T, MemorySpace>{value,
                                               gradient,
                                               static_cast<T*>(moments.mean.get()),
                                               static_cast<T*>(moments.square.get()),
                                               static_cast<T>(scale),
                                               static_cast<T>(options_.beta1),
                                               static_cast<T>(options_.beta2),
                                               static_cast<T>(1 / (1 - std::pow(options_.beta1, steps))),
                                               static_cast<T>(1 / (1 - std::pow(options_.beta2, steps))),
                                               static_cast<T>(learning_rate),
                                               static_cast<T>(options_.epsilon),
                                               static_cast<T>(options_.weight_decay)};
  }

  AdamWOptions options_;
  std::int64_t steps_ = 0;
  std::vector<Moments> moments_;
};

}  // namespace gshard::optim
