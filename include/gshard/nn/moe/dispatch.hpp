// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/nn/kernels/dispatch.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::nn {

namespace detail {

/// Dispatch to expert slots by index, as an operation with a gradient.
template <AnyTensor Gates, AnyGate Gate>
struct DispatchToSlots {
  Routing<Gates, Gate> routing;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor X>
  auto forward(X const& x) const {
    using T = typename X::value_type;
    static constexpr Layout layout = [] {
      Layout result;
      result.dimensions = {{}, X::layout.dimensions[0], {}, {}};
      return result;
    }();
    static_assert(check_slots<Gate>() && check_by_group<X, Gates, 0, 2>());
    require_floating_point<X>();
    RoutingShape const shape = routing.shape("dispatch");
    gshard::detail::require_one_mesh("dispatch", {{"x", x}, {"the routing's expert", routing.expert}});
    gshard::detail::require_extents("dispatch", {"x", x}, {shape.groups, shape.tokens, dynamic_extent},
                                    "as in the routing, (G, S)");
    with_layout<X, layout> const slots(uninitialized, x.mesh(),
                                       {shape.experts, shape.groups, shape.capacity, x.extent(2)});
    record_kernel("dispatch", slots, x, routing.token_of_slot);
    detail::dispatch<typename X::memory_space, T>(x.local(), routing.token_of_slot.local(), slots.local());
    return slots;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x] = saved.operands;
    auto const& [dx] = gradients;
    using X = typename std::remove_cvref_t<decltype(dx)>::tensor_type;
    X const x_gradient(uninitialized, x.mesh(), x.extents());
    record_kernel("dispatch gradient", x_gradient, gradient);
    dispatch_backward<typename X::memory_space, typename X::value_type>(gradient.local(), routing.expert.local(),
                                                                        routing.slot.local(), x_gradient.local());
    dx.add(x_gradient);
  }
};

/// Combine from expert slots by index, as an operation of slots and weights with a gradient.
template <AnyTensor Gates, AnyGate Gate>
struct CombineFromSlots {
  Routing<Gates, Gate> routing;

  template <int Operand>
  static constexpr Reads reads = Reads::operand(1 - Operand);

  template <AnyTensor Slots, AnyTensor Weights>
  auto forward(Slots const& slots, Weights const& weights) const {
    using T = typename Slots::value_type;
    static constexpr Layout layout = [] {
      Layout result;
      result.dimensions = {Slots::layout.dimensions[1], {}, {}};
      return result;
    }();
    static_assert(Slots::layout.dimensions[0].empty(),
                  "gshard: combine needs the slots of all experts; reshard them so that E is `_`");
    static_assert(check_slots<Gate>() && check_by_group<Slots, Gates, 1, 2>() &&
                  check_by_group<Weights, Gates, 0, 2>());
    require_floating_point<Slots>();
    RoutingShape const shape = routing.shape("combine");
    gshard::detail::require_one_mesh(
        "combine", {{"slots", slots}, {"weights", weights}, {"the routing's expert", routing.expert}});
    gshard::detail::require_extents("combine", {"slots", slots},
                                    {shape.experts, shape.groups, shape.capacity, dynamic_extent},
                                    "as in the routing, (E, G, C)");
    gshard::detail::require_extents("combine", {"weights", weights}, {shape.groups, shape.tokens, shape.choices},
                                    "as in the routing, (G, S, K)");
    with_layout<Slots, layout> const tokens(uninitialized, slots.mesh(), {shape.groups, shape.tokens, slots.extent(3)});
    record_kernel("combine", tokens, slots);
    detail::combine<typename Slots::memory_space, T, typename Weights::value_type>(
        slots.local(), routing.expert.local(), routing.slot.local(), weights.local(), tokens.local());
    return tokens;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [slots, weights] = saved.operands;
    auto const& [dslots, dweights] = gradients;
    using T = typename std::remove_cvref_t<decltype(slots)>::value_type;
    using Weight = typename std::remove_cvref_t<decltype(weights)>::value_type;
    using Space = typename std::remove_cvref_t<decltype(gradient)>::memory_space;
    if constexpr (is_wanted<decltype(dslots)>) {
      using Slots = typename std::remove_cvref_t<decltype(dslots)>::tensor_type;
      Slots const slots_gradient(uninitialized, slots.mesh(), slots.extents());
      record_kernel("combine gradient", slots_gradient, gradient);
      combine_slots_backward<Space, T, Weight>(gradient.local(), routing.token_of_slot.local(), routing.expert.local(),
                                               weights.local(), slots_gradient.local());
      dslots.add(slots_gradient);
    }
    if constexpr (is_wanted<decltype(dweights)>) {
      using Weights = typename std::remove_cvref_t<decltype(dweights)>::tensor_type;
      Weights const weights_gradient(uninitialized, weights.mesh(), weights.extents());
      record_kernel("combine weights gradient", gradient, slots);
      combine_weights_backward<Space, T, Weight>(gradient.local(), slots.local(), routing.expert.local(),
                                                 routing.slot.local(), weights_gradient.local());
      dweights.add(weights_gradient);
    }
  }
};

}  // namespace detail

/// Sends tokens to their expert slots: x (G, S, M) gives (E, G, C, M), empty slots zero. Is the paper's GSEC,GSM->EGCM
/// by index, at a cost linear in the tokens. E is whole, G stays on its axes. Local.
/// Does not read rows of padding and of dropped choices, nor gradients of empty slots.
/// Throws StateError, MeshError or ExtentError if x has other groups than the routing.
template <TensorOperand X, AnyTensor Gates, AnyGate Gate>
auto dispatch(X&& x, Routing<Gates, Gate> const& routing) {
  return Differentiable(detail::DispatchToSlots<Gates, Gate>{routing})(std::forward<X>(x));
}

/// Brings the experts' rows back to their tokens: slots (E, G, C, M) and weights (G, S, K) give (G, S, M),
/// `y[g,s,:] = sum_k weights[g,s,k] * slots[e_k,g,c_k,:]` over the choices that have a slot; zeros for padding. Is the
/// paper's GSEC,GECM->GSM by index. E is whole. Local.
/// Does not read empty slots, weights of dropped choices, and gradients of padding.
/// Throws StateError, MeshError or ExtentError if slots or weights have other extents than the routing.
template <TensorOperand X, TensorOperand W, AnyTensor Gates, AnyGate Gate>
auto combine(X&& slots, W&& weights, Routing<Gates, Gate> const& routing) {
  return Differentiable(detail::CombineFromSlots<Gates, Gate>{routing})(std::forward<X>(slots),
                                                                        std::forward<W>(weights));
}

}  // namespace gshard::nn
