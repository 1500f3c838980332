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
/// themselves. Local. The einsums multiply what is masked by 0: give them rows of padding that are zero
/// (zero_padding). Throws StateError, MeshError or ExtentError where the weights have other extents than the routing.
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
  static_assert(detail::check_slots<Gate>() && detail::check_by_group<Weight, Gates, 0, 2>());
  Weight const& weight = detail::value_of(weights);
  detail::RoutingShape const shape = routing.shape("one_hot_routes");
  gshard::detail::require_one_mesh("one_hot_routes", {{"weights", weight}, {"the routing's expert", routing.expert}});
  gshard::detail::require_extents("one_hot_routes", {"weights", weight}, {shape.groups, shape.tokens, shape.choices},
                                  "as in the routing, (G, S, K)");
  Extents const extents{shape.groups, shape.tokens, shape.experts, shape.capacity};
  Tensor const combine(uninitialized, weight.mesh(), extents);
  Tensor const mask(uninitialized, weight.mesh(), extents);
  detail::record_kernel("one_hot_routes", combine, mask, weight);
  detail::one_hot_routes<Space, T>(routing.expert.local(), routing.slot.local(), weight.local(), combine.local(),
                                   mask.local());
  auto recorded = detail::recorded_beside(
      weights, combine, [slot = detail::slot_of(weights), weight, routing](auto const& gradient) {
        Weight const of_weights = detail::empty_like(weight);
        detail::one_hot_routes_backward<Space, T>(routing.expert.local(), routing.slot.local(), gradient.local(),
                                                  of_weights.local());
        slot.add(of_weights);
      });
  return OneHotRoutes<decltype(recorded), Tensor>{recorded, mask};
}

}  // namespace gshard::nn
