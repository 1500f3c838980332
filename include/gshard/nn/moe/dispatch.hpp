// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>

#include <gshard/nn/kernels/dispatch.hpp>
#include <gshard/nn/moe/gate.hpp>

namespace gshard::nn {

/// The rows of the tokens in their slots: x (G, S, M) gives (E, G, C, M), empty slots zero; the paper's GSEC,GSM->EGCM
/// by index, its cost linear in the tokens. Local: E is whole, G stays on its axes. Rows of padding and of dropped
/// choices are not read, nor are the gradients of empty slots.
/// Throws StateError, MeshError or ExtentError where x has other groups than the routing.
template <class X, AnyTensor Gates, AnyGate Gate>
auto dispatch(X const& x, Routing<Gates, Gate> const& routing) {
  using Tensor = detail::ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static constexpr Layout layout = [] {
    Layout result;
    result.dimensions = {{}, Tensor::layout.dimensions[0], {}, {}};
    return result;
  }();
  static_assert(detail::check_slots<Gate>() && detail::check_by_group<Tensor, Gates, 0, 2>());
  Tensor const& tokens = detail::value_of(x);
  detail::RoutingShape const shape = routing.shape("dispatch");
  gshard::detail::require_one_mesh("dispatch", {{"x", tokens}, {"the routing's expert", routing.expert}});
  gshard::detail::require_extents("dispatch", {"x", tokens}, {shape.groups, shape.tokens, dynamic_extent},
                                  "as in the routing, (G, S)");
  with_layout<Tensor, layout> const slots(uninitialized, tokens.mesh(),
                                          {shape.experts, shape.groups, shape.capacity, tokens.extent(2)});
  detail::record_kernel("dispatch", slots, tokens, routing.token_of_slot);
  detail::dispatch<Space, T>(tokens.local(), routing.token_of_slot.local(), slots.local());
  return detail::recorded_beside(x, slots, [slot = detail::slot_of(x), tokens, routing](auto const& gradient) {
    Tensor const of_tokens = detail::empty_like(tokens);
    detail::record_kernel("dispatch gradient", of_tokens, gradient);
    detail::dispatch_backward<Space, T>(gradient.local(), routing.expert.local(), routing.slot.local(),
                                        of_tokens.local());
    slot.add(of_tokens);
  });
}

/// The experts' rows back at their tokens, weighted: slots (E, G, C, M) and weights (G, S, K) give (G, S, M); the
/// paper's GSEC,GECM->GSM by index. Dropped choices add nothing, and padding gets zeros: empty slots, weights of
/// dropped choices, and gradients of padding are not read. Local: E is whole. Throws StateError, MeshError or
/// ExtentError where slots or weights have other extents than the routing.
template <class X, class W, AnyTensor Gates, AnyGate Gate>
auto combine(X const& slots, W const& weights, Routing<Gates, Gate> const& routing) {
  using Tensor = detail::ValueTensor<X>;
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  using Weight = typename detail::ValueTensor<W>::value_type;
  static constexpr Layout layout = [] {
    Layout result;
    result.dimensions = {Tensor::layout.dimensions[1], {}, {}};
    return result;
  }();
  static_assert(Tensor::layout.dimensions[0].empty(),
                "gshard: combine needs the slots of all experts; reshard them so that E is `_`");
  static_assert(detail::check_slots<Gate>() && detail::check_by_group<Tensor, Gates, 1, 2>() &&
                detail::check_by_group<detail::ValueTensor<W>, Gates, 0, 2>());
  Tensor const& rows = detail::value_of(slots);
  auto const& weight = detail::value_of(weights);
  detail::RoutingShape const shape = routing.shape("combine");
  gshard::detail::require_one_mesh("combine",
                                   {{"slots", rows}, {"weights", weight}, {"the routing's expert", routing.expert}});
  gshard::detail::require_extents("combine", {"slots", rows},
                                  {shape.experts, shape.groups, shape.capacity, dynamic_extent},
                                  "as in the routing, (E, G, C)");
  gshard::detail::require_extents("combine", {"weights", weight}, {shape.groups, shape.tokens, shape.choices},
                                  "as in the routing, (G, S, K)");
  with_layout<Tensor, layout> const tokens(uninitialized, rows.mesh(), {shape.groups, shape.tokens, rows.extent(3)});
  detail::record_kernel("combine", tokens, rows);
  detail::combine<Space, T, Weight>(rows.local(), routing.expert.local(), routing.slot.local(), weight.local(),
                                    tokens.local());
  return detail::recorded_beside(
      std::tie(slots, weights), tokens,
      [rows, weight, routing, of_slots = detail::slot_of(slots),
       of_weights = detail::slot_of(weights)](auto const& gradient) {
        if constexpr (detail::wants_gradient<decltype(of_slots)>) {
          Tensor const rows_gradient = detail::empty_like(rows);
          detail::record_kernel("combine gradient", rows_gradient, gradient);
          detail::combine_slots_backward<Space, T, Weight>(gradient.local(), routing.token_of_slot.local(),
                                                           routing.expert.local(), weight.local(),
                                                           rows_gradient.local());
          of_slots.add(rows_gradient);
        }
        if constexpr (detail::wants_gradient<decltype(of_weights)>) {
          auto const weights_gradient = detail::empty_like(weight);
          detail::record_kernel("combine weights gradient", gradient, rows);
          detail::combine_weights_backward<Space, T, Weight>(gradient.local(), rows.local(), routing.expert.local(),
                                                             routing.slot.local(), weights_gradient.local());
          of_weights.add(weights_gradient);
        }
      });
}

}  // namespace gshard::nn
