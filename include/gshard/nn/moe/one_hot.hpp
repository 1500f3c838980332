// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/nn/kernels/one_hot.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::nn {

/// The combine tensor (G, S, E, C) of Algorithm 2, recorded if the weights (G, S, K) are, and its mask: 1 where a token
/// is in a slot.
template <class W, class Mask>
struct OneHotRoutes {
  W combine;
  Mask mask;
};

namespace detail {

/// Combine tensor of Algorithm 2, as an operation of the weights with a gradient. `forward` also sets the elements of
/// `mask`, which one kernel computes beside it; nothing keeps them for the backward pass. Precondition of `forward`:
/// `checked_shape` has accepted the weights.
template <AnyTensor Gates, AnyGate Gate>
struct OneHotCombine {
  Routing<Gates, Gate> routing;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  /// Returns the extents of the routing. Throws StateError, MeshError or ExtentError if the weights do not belong to
  /// it.
  template <AnyTensor Weights>
  RoutingShape checked_shape(Weights const& weights) const {
    static_assert(check_slots<Gate>() && check_by_group<Weights, Gates, 0, 2>());
    require_floating_point<Weights>();
    RoutingShape const shape = routing.shape("one_hot_routes");
    gshard::detail::require_one_mesh("one_hot_routes",
                                     {{"weights", weights}, {"the routing's expert", routing.expert}});
    gshard::detail::require_extents("one_hot_routes", {"weights", weights}, {shape.groups, shape.tokens, Gate::choices},
                                    "as in the routing, (G, S, K)");
    return shape;
  }

  template <AnyTensor Weights, AnyTensor Mask>
  auto forward(Weights const& weights, Mask const& mask) const {
    Mask const combine = empty_like(mask);
    record_kernel("one_hot_routes", combine, mask, weights);
    detail::one_hot_routes<typename Weights::memory_space, typename Weights::value_type>(
        routing.expert.local(), routing.slot.local(), weights.local(), combine.local(), mask.local());
    return combine;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& weights = std::get<0>(saved.operands);
    auto const& dweights = std::get<0>(gradients);
    using Weights = typename std::remove_cvref_t<decltype(dweights)>::tensor_type;
    Weights const weights_gradient(uninitialized, weights.mesh(), weights.extents());
    one_hot_routes_backward<typename Weights::memory_space, typename Weights::value_type>(
        routing.expert.local(), routing.slot.local(), gradient.local(), weights_gradient.local());
    dweights.add(weights_gradient);
  }
};

}  // namespace detail

/// Returns the routing as one-hot tensors, for the paper's Algorithm 2 by einsums: readable, and S/H as costly as the
/// experts themselves. Local. The einsums multiply what is masked by 0: give them rows of padding that are zero
/// (zero_padding). Throws StateError, MeshError or ExtentError if the weights have other extents than the routing.
template <TensorOperand W, AnyTensor Gates, AnyGate Gate>
auto one_hot_routes(W&& weights, Routing<Gates, Gate> const& routing) {
  using Mask = detail::ByGroup<Gates, typename detail::ValueTensor<W>::value_type, 0, 3>;
  detail::OneHotCombine<Gates, Gate> const operation{routing};
  auto const& ready = gshard::detail::evaluated(std::forward<W>(weights));
  detail::RoutingShape const shape = operation.checked_shape(detail::value_of(ready));
  Mask const mask(uninitialized, routing.expert.mesh(), {shape.groups, shape.tokens, shape.experts, shape.capacity});
  auto const combine = Differentiable(operation)(ready, mask);
  return OneHotRoutes<std::remove_const_t<decltype(combine)>, Mask>{combine, mask};
}

}  // namespace gshard::nn
