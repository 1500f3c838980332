// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/nn/kernels/one_hot.hpp>
#include <gshard/nn/moe/gate.hpp>

namespace gshard::nn {

/// The combine tensor (G, S, E, C) of Algorithm 2, recorded beside the weights (G, S, K), and its mask: 1 where a token
/// is in a slot.
template <class W, class Mask>
struct OneHotRoutes {
  W combine;
  Mask mask;
};

/// The routing as one-hot tensors, for the paper's Algorithm 2 by einsums: readable, and S/H as costly as the experts
/// themselves. Local.
template <class W, AnyTensor Gates, AnyGate Gate>
auto one_hot_routes(W const& weights, Routing<Gates, Gate> const& routing) {
  using Weight = detail::ValueTensor<W>;
  using T = typename Weight::value_type;
  using Space = typename Weight::memory_space;
  static constexpr Layout layout = [] {
    Layout result;
    result.dimensions = {Gates::layout.dimensions[0], {}, {}, {}};
    return result;
  }();
  using Tensor = with_layout<Weight, layout>;
  Weight const& weight = detail::value_of(weights);
  Extents const extents{weight.extent(0), weight.extent(1), routing.token_of_slot.extent(0), routing.capacity};
  Tensor const combine(uninitialized, weight.mesh(), extents);
  Tensor const mask(uninitialized, weight.mesh(), extents);
  detail::record_kernel("one_hot_routes", combine, mask, weight);
  detail::one_hot_routes<T, Space>(routing.expert.local(), routing.slot.local(), weight.local(), combine.local(),
                                   mask.local());
  auto recorded = detail::recorded_beside(
      weights, combine, [slot = detail::slot_of(weights), weight, routing](auto const& gradient) {
        Weight const of_weights = detail::unset_like(weight);
        detail::one_hot_routes_backward<T, Space>(routing.expert.local(), routing.slot.local(), gradient.local(),
                                                  of_weights.local());
        slot.add(of_weights);
      });
  return OneHotRoutes<decltype(recorded), Tensor>{recorded, mask};
}

}  // namespace gshard::nn
