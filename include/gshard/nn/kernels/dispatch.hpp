// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

// The movement between tokens (G, S, M) and the experts' buffers (E, G, C, M), by the routes of top2_gate rather than by the paper's
// one-hot einsums (one_hot.hpp): the work is that of copying the rows. Places without a route are chosen around, never multiplied by zero,
// so an empty slot may hold anything.

namespace gshard::nn::detail {

/// One slot gets its token's row, times the route's weight if there are weights, or zeros.
template <class T, class MemorySpace>
struct TokensToSlots {
  Rank3<T const, MemorySpace> tokens;
  Rank3<int const, MemorySpace> token_of_slot;
  Rank3<int const, MemorySpace> expert;
  Rank3<T const, MemorySpace> weight;
  Rank4<T, MemorySpace> slots;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(slots, 3);
    T* const out = slots.data() + row * columns;
    std::int64_t const s = token_of_slot.data()[row];
    if (s < 0) {
      lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
      return;
    }
    std::int64_t const group = row / extent(slots, 2) % extent(slots, 1);
    std::int64_t const token = group * extent(tokens, 1) + s;
    T const* const in = tokens.data() + token * columns;
    if (weight.data() == nullptr) {
      lanes.each(columns, [=](std::int64_t j) { out[j] = in[j]; });
    } else {
      std::int64_t const e = row / (extent(slots, 2) * extent(slots, 1));
      T const factor = weight.data()[2 * token + (expert.data()[2 * token] == e ? 0 : 1)];
      lanes.each(columns, [=](std::int64_t j) { out[j] = factor * in[j]; });
    }
  }
};

/// The first element of the row of the slot that a token's choice was given, or null.
template <class T, class MemorySpace>
KOKKOS_FORCEINLINE_FUNCTION T const* row_of_route(Rank4<T const, MemorySpace> const& slots, Rank3<int const, MemorySpace> const& expert,
                                                  Rank3<int const, MemorySpace> const& slot, std::int64_t token, int choice) {
  std::int64_t const c = slot.data()[2 * token + choice];
  if (c < 0) return nullptr;
  std::int64_t const e = expert.data()[2 * token + choice];
  std::int64_t const group = token / extent(slot, 1);
  return slots.data() + ((e * extent(slots, 1) + group) * extent(slots, 2) + c) * extent(slots, 3);
}

/// One token gets the sum of the rows at its routes, times their weights if there are weights.
template <class T, class MemorySpace>
struct SlotsToTokens {
  Rank4<T const, MemorySpace> slots;
  Rank3<int const, MemorySpace> expert;
  Rank3<int const, MemorySpace> slot;
  Rank3<T const, MemorySpace> weight;
  Rank3<T, MemorySpace> tokens;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const columns = extent(tokens, 2);
    T* const out = tokens.data() + token * columns;
    T const* first = row_of_route<T, MemorySpace>(slots, expert, slot, token, 0);
    T const* const second = row_of_route<T, MemorySpace>(slots, expert, slot, token, 1);
    T const* const w = weight.data() == nullptr ? nullptr : weight.data() + 2 * token;
    T factor = w == nullptr ? T(1) : w[0];
    T const second_factor = w == nullptr ? T(1) : w[1];
    if (first != nullptr && second != nullptr) {
      lanes.each(columns, [=](std::int64_t j) { out[j] = factor * first[j] + second_factor * second[j]; });
      return;
    }
    if (first == nullptr) {
      first = second;
      factor = second_factor;
    }
    if (first != nullptr)
      lanes.each(columns, [=](std::int64_t j) { out[j] = factor * first[j]; });
    else
      lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
  }
};

/// One token's two products of its row with the rows at its routes.
template <class T, class MemorySpace>
struct RouteProducts {
  Rank4<T const, MemorySpace> slots;
  Rank3<int const, MemorySpace> expert;
  Rank3<int const, MemorySpace> slot;
  Rank3<T const, MemorySpace> tokens;
  Rank3<T, MemorySpace> result;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    std::int64_t const columns = extent(tokens, 2);
    T const* const in = tokens.data() + token * columns;
    for (int choice = 0; choice < 2; ++choice) {
      T const* const other = row_of_route<T, MemorySpace>(slots, expert, slot, token, choice);
      T const product = other == nullptr ? T(0) : lanes.template sum<T>(columns, [=](std::int64_t j) { return in[j] * other[j]; });
      lanes.once([&] { result.data()[2 * token + choice] = product; });
    }
  }
};

/// Sends tokens to slots: slots(e, g, c, :) = tokens(g, token_of_slot(e, g, c), :), zeros where that is -1.
/// tokens (G, S, M), token_of_slot (E, G, C), slots (E, G, C, M). The paper's GSEC,GSM->EGCM.
template <class T, class MemorySpace>
void dispatch(Rank3<T const, MemorySpace> tokens, Rank3<int const, MemorySpace> token_of_slot, Rank4<T, MemorySpace> slots) {
  for_each_row<MemorySpace>("gshard::dispatch", extent(slots, 0) * extent(slots, 1) * extent(slots, 2),
                            TokensToSlots<T, MemorySpace>{tokens, token_of_slot, {}, {}, slots});
}

/// The gradient of dispatch: gradient(g, s, :) = sum over the token's kept choices of upstream(e, g, c, :). expert, slot (G, S, 2).
template <class T, class MemorySpace>
void dispatch_backward(Rank4<T const, MemorySpace> upstream, Rank3<int const, MemorySpace> expert, Rank3<int const, MemorySpace> slot,
                       Rank3<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>("gshard::dispatch_backward", extent(gradient, 0) * extent(gradient, 1),
                            SlotsToTokens<T, MemorySpace>{upstream, expert, slot, {}, gradient});
}

/// Brings the experts' results back: tokens(g, s, :) = sum over the kept choices k of weight(g, s, k) * slots(e_k, g, c_k, :); zeros where
/// both were dropped. slots (E, G, C, M); expert, slot, weight (G, S, 2); tokens (G, S, M). The paper's GSEC,GECM->GSM.
template <class T, class MemorySpace>
void combine(Rank4<T const, MemorySpace> slots, Rank3<int const, MemorySpace> expert, Rank3<int const, MemorySpace> slot,
             Rank3<T const, MemorySpace> weight, Rank3<T, MemorySpace> tokens) {
  for_each_row<MemorySpace>("gshard::combine", extent(tokens, 0) * extent(tokens, 1),
                            SlotsToTokens<T, MemorySpace>{slots, expert, slot, weight, tokens});
}

/// The gradient of combine with respect to the slots (E, G, C, M): the weight of the slot's route times upstream (G, S, M) at its token,
/// zeros for an empty slot.
template <class T, class MemorySpace>
void combine_slots_backward(Rank3<T const, MemorySpace> upstream, Rank3<int const, MemorySpace> token_of_slot,
                            Rank3<int const, MemorySpace> expert, Rank3<T const, MemorySpace> weight, Rank4<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>("gshard::combine_slots_backward", extent(gradient, 0) * extent(gradient, 1) * extent(gradient, 2),
                            TokensToSlots<T, MemorySpace>{upstream, token_of_slot, expert, weight, gradient});
}

/// The gradient of combine with respect to the weights (G, S, 2): the product of upstream (G, S, M) at the token with the slot's row; 0 for
/// a dropped choice.
template <class T, class MemorySpace>
void combine_weights_backward(Rank3<T const, MemorySpace> upstream, Rank4<T const, MemorySpace> slots,
                              Rank3<int const, MemorySpace> expert, Rank3<int const, MemorySpace> slot, Rank3<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>("gshard::combine_weights_backward", extent(gradient, 0) * extent(gradient, 1),
                            RouteProducts<T, MemorySpace>{slots, expert, slot, upstream, gradient});
}

}  // namespace gshard::nn::detail
