// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/options.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/nn/axes.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/parallelism.hpp>

namespace gshard::nn {

/// relu(x wi) wo (paper 2.1): x (G, S, M), or with any other dimensions before M, split in any way. The axes of the
/// model split the hidden units: one all-reduce over them of the result, and one of the gradient of x; the weights are
/// gathered over the axes of the parameters.
template <class Mesh, class Parallelism, class T = float,
          class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct FeedForward {
  static constexpr AxisNames pieces = detail::names_without(Parallelism::parameters, Parallelism::model);
  using In = ShardedTensor<Mesh, Spec<pieces, Parallelism::model>, T, MemorySpace>;
  using Out = ShardedTensor<Mesh, Spec<Parallelism::model, pieces>, T, MemorySpace>;
  Parameter<In> wi;   ///< (M, H)
  Parameter<Out> wo;  ///< (H, M)

  /// Throws OptionError unless `model` (M) and `hidden` (H) are 1 or more.
  FeedForward(Mesh const& mesh, Initializer& initializer, std::int64_t model, std::int64_t hidden)
      : wi(initializer.normal<In>(mesh,
                                  {gshard::detail::require_at_least("model", model, 1),
                                   gshard::detail::require_at_least("hidden", hidden, 1)},
                                  1 / std::sqrt(static_cast<double>(model)), "feed-forward wi")),
        wo(initializer.normal<Out>(mesh, {hidden, model}, 1 / std::sqrt(static_cast<double>(hidden)),
                                   "feed-forward wo")) {}

  template <TensorOperand X>
  auto operator()(X&& x) {
    auto const& input = gshard::detail::evaluated(std::forward<X>(x));
    auto const hidden = eval(relu(einsum<"...m,mh->...h">(input, movable(bind(wi, input)))));
    return shard<detail::SpecOf<X>>(einsum<"...h,hm->...m">(hidden, movable(bind(wo, input))));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(wi);
    visit(wo);
  }
};

}  // namespace gshard::nn
