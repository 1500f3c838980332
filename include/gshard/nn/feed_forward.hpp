// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include <gshard/autodiff/einsum.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/nn/initialize.hpp>

namespace gshard::nn {

/// relu(x wi) wo with replicated weights (paper 2.1): x (G, S, M), any split of G and S. Local.
template <class Mesh, class T = float, class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
struct FeedForward {
  using Matrix = ShardedTensor<Mesh, Spec<_, _>, T, MemorySpace>;
  Parameter<Matrix> wi;  ///< (M, H)
  Parameter<Matrix> wo;  ///< (H, M)

  FeedForward(Mesh const& mesh, Initializer& initializer, std::int64_t model, std::int64_t hidden)
      : wi(initializer.normal<Matrix>(mesh, {model, hidden}, 1 / std::sqrt(static_cast<double>(model)), "feed-forward wi")),
        wo(initializer.normal<Matrix>(mesh, {hidden, model}, 1 / std::sqrt(static_cast<double>(hidden)), "feed-forward wo")) {}

  template <class X>
  auto operator()(X const& x) {
    auto const hidden = eval(relu(einsum<"gsm,mh->gsh">(x, bind(wi, x))));
    return eval(einsum<"gsh,hm->gsm">(hidden, bind(wo, x)));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(wi);
    visit(wo);
  }
};

}  // namespace gshard::nn
