// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/routes.hpp>

// The movement between tokens (G, S, M) and rows at their experts, by the routes of a gate rather than by the paper's
// one-hot einsums (one_hot.hpp): the work is that of copying the rows. A route is a token's choice, numbered (g, s, k);
// what `Routes` knows is the row of a route and the route of a row, -1 where there is none. Places without a route are
// passed over, never multiplied by zero, so an empty slot, a dropped choice and padding may hold anything.

namespace gshard::nn::detail {

/// The routes to rows in slots (E, G, C). Without choices, each token is a route. What names an expert, a slot or a
/// token that does not exist is no route.
template <class MemorySpace>
struct SlotRoutes {
  Rank3<int const, MemorySpace> expert;         ///< (G, S, K); empty without choices
  Rank3<int const, MemorySpace> slot;           ///< (G, S, K)
  Rank3<int const, MemorySpace> token_of_slot;  ///< (E, G, C)
  std::int64_t experts;                         ///< E
  std::int64_t groups;                          ///< G
  std::int64_t tokens;                          ///< S
  std::int64_t capacity;                        ///< C
  std::int64_t choices;                         ///< K

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t row_of(std::int64_t route) const {
    std::int64_t const c = slot.data()[route];
    std::int64_t const e = expert.data()[route];
    if (!is_index(c, capacity) || !is_index(e, experts)) return -1;
    std::int64_t const group = route / (tokens * choices);
    return (e * groups + group) * capacity + c;
  }

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t route_of(std::int64_t row) const {
    std::int64_t const s = token_of_slot.data()[row];
    if (!is_index(s, tokens)) return -1;
    std::int64_t const group = row / capacity % groups;
    std::int64_t const first = (group * tokens + s) * choices;
    if (expert.data() == nullptr) return first;
    std::int64_t const e = row / (groups * capacity);
    for (std::int64_t k = 0; k < choices; ++k)
      if (expert.data()[first + k] == e) return first + k;
    return -1;
  }
};

/// One row gets its token, times the route's weight if there are weights, or zeros.
template <class T, class Routes, class W = T>
struct TokensToRows {
  Routes routes;
  T const* tokens;
  W const* weight;
  T* rows;
  std::int64_t columns;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    T* const out = rows + row * columns;
    std::int64_t const route = routes.route_of(row);
    if (route < 0) {
      lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
      return;
    }
    T const* const in = tokens + route / routes.choices * columns;
    if (weight == nullptr) {
      lanes.each(columns, [=](std::int64_t j) { out[j] = in[j]; });
    } else {
      gshard::detail::Computed<W> const factor = weight[route];
      lanes.each(columns, [=](std::int64_t j) { out[j] = static_cast<T>(factor * in[j]); });
    }
  }
};

/// One token gets the sum of the rows at its routes, times their weights if there are weights.
template <class T, class Routes, class W = T>
struct RowsToTokens {
  using Factor = gshard::detail::Computed<W>;
  Routes routes;
  T const* rows;
  W const* weight;
  T* tokens;
  std::int64_t columns;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    T* const out = tokens + token * columns;
    if constexpr (gshard::detail::is_rounded<T>)
      if (routes.choices > 2) return add_all(lanes, token, out);
    bool is_set = false;
    T const* held = nullptr;
    Factor held_factor{};
    for (std::int64_t route = token * routes.choices; route < (token + 1) * routes.choices; ++route) {
      std::int64_t const row = routes.row_of(route);
      if (row < 0) continue;
      T const* const in = rows + row * columns;
      Factor const factor = weight == nullptr ? Factor(1) : Factor(weight[route]);
      if (held == nullptr) {
        held = in;
        held_factor = factor;
        continue;
      }
      add_two(lanes, out, is_set, held, held_factor, in, factor);
      is_set = true;
      held = nullptr;
    }
    if (held != nullptr) add_one(lanes, out, is_set, held, held_factor);
    else if (!is_set) lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
  }

 private:
  /// All rows at once, so that a sum is rounded once.
  template <class Lanes>
  KOKKOS_FORCEINLINE_FUNCTION void add_all(Lanes const& lanes, std::int64_t token, T* out) const {
    lanes.each(columns, [=, this](std::int64_t j) {
      Factor sum(0);
      for (std::int64_t route = token * routes.choices; route < (token + 1) * routes.choices; ++route) {
        std::int64_t const row = routes.row_of(route);
        if (row >= 0) sum += (weight == nullptr ? Factor(1) : Factor(weight[route])) * rows[row * columns + j];
      }
      out[j] = static_cast<T>(sum);
    });
  }

  template <class Lanes>
  KOKKOS_FORCEINLINE_FUNCTION void add_one(Lanes const& lanes, T* out, bool is_set, T const* row, Factor factor) const {
    if (is_set) lanes.each(columns, [=](std::int64_t j) { out[j] = static_cast<T>(out[j] + factor * row[j]); });
    else lanes.each(columns, [=](std::int64_t j) { out[j] = static_cast<T>(factor * row[j]); });
  }

  template <class Lanes>
  KOKKOS_FORCEINLINE_FUNCTION void add_two(Lanes const& lanes, T* out, bool is_set, T const* first, Factor first_factor,
                                           T const* second, Factor second_factor) const {
    if (is_set)
      lanes.each(columns, [=](std::int64_t j) {
        out[j] = static_cast<T>(out[j] + (first_factor * first[j] + second_factor * second[j]));
      });
    else
      lanes.each(columns,
                 [=](std::int64_t j) { out[j] = static_cast<T>(first_factor * first[j] + second_factor * second[j]); });
  }
};

/// One token's products of its row with the rows at its routes.
template <class T, class Routes, class W = T>
struct RouteProducts {
  Routes routes;
  T const* rows;
  T const* tokens;
  W* result;
  std::int64_t columns;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    using Sum = gshard::detail::Computed<W>;
    T const* const in = tokens + token * columns;
    for (std::int64_t route = token * routes.choices; route < (token + 1) * routes.choices; ++route) {
      std::int64_t const row = routes.row_of(route);
      T const* const other = row < 0 ? nullptr : rows + row * columns;
      Sum const product = other == nullptr ? Sum(0) : lanes.template sum<Sum>(columns, [=](std::int64_t j) {
        return Sum(in[j]) * Sum(other[j]);
      });
      lanes.once([&] { result[route] = static_cast<W>(product); });
    }
  }
};

/// The routes from rows in slots (E, G, C, M) back to tokens.
template <class MemorySpace, class T>
SlotRoutes<MemorySpace> routes_back(Rank4<T const, MemorySpace> slots, Rank3<int const, MemorySpace> expert,
                                    Rank3<int const, MemorySpace> slot) {
  return {expert, slot, {}, extent(slots, 0), extent(slots, 1), extent(expert, 1), extent(slots, 2), extent(expert, 2)};
}

template <class MemorySpace, class T, class Routes, class W>
void tokens_to_rows(std::int64_t count, TokensToRows<T, Routes, W> const& kernel) {
  for_each_row<MemorySpace>("gshard::tokens_to_rows", kernel.columns == 0 ? 0 : count, kernel);
}

template <class MemorySpace, class T, class Routes, class W>
void rows_to_tokens(std::int64_t count, RowsToTokens<T, Routes, W> const& kernel) {
  for_each_row<MemorySpace>("gshard::rows_to_tokens", kernel.columns == 0 ? 0 : count, kernel);
}

template <class MemorySpace, class T, class Routes, class W>
void route_products(std::int64_t count, RouteProducts<T, Routes, W> const& kernel) {
  for_each_row<MemorySpace>("gshard::route_products", count, kernel);
}

/// Sends tokens to slots: slots(e, g, c, :) = tokens(g, token_of_slot(e, g, c), :), zeros where that is -1.
/// tokens (G, S, M), token_of_slot (E, G, C), slots (E, G, C, M). The paper's GSEC,GSM->EGCM.
template <class MemorySpace, class T>
void dispatch(Rank3<T const, MemorySpace> tokens, Rank3<int const, MemorySpace> token_of_slot,
              Rank4<T, MemorySpace> slots) {
  SlotRoutes<MemorySpace> const routes{
      {}, {}, token_of_slot, extent(slots, 0), extent(slots, 1), extent(tokens, 1), extent(slots, 2), 1};
  tokens_to_rows<MemorySpace>(
      extent(slots, 0) * extent(slots, 1) * extent(slots, 2),
      TokensToRows<T, SlotRoutes<MemorySpace>>{routes, tokens.data(), nullptr, slots.data(), extent(slots, 3)});
}
GSHARD_COMPILED_FLOATS(dispatch)

/// Brings the experts' results back: tokens(g, s, :) = sum over the kept choices k of weight(g, s, k) * slots(e_k, g,
/// c_k, :); zeros where all were dropped. slots (E, G, C, M); expert, slot, weight (G, S, K); tokens (G, S, M). The
/// paper's GSEC,GECM->GSM.
template <class MemorySpace, class T, class W = T>
void combine(Rank4<T const, MemorySpace> slots, Rank3<int const, MemorySpace> expert,
             Rank3<int const, MemorySpace> slot, Rank3<W const, MemorySpace> weight, Rank3<T, MemorySpace> tokens) {
  rows_to_tokens<MemorySpace>(
      extent(tokens, 0) * extent(tokens, 1),
      RowsToTokens<T, SlotRoutes<MemorySpace>, W>{routes_back<MemorySpace, T>(slots, expert, slot), slots.data(),
                                                  weight.data(), tokens.data(), extent(tokens, 2)});
}
GSHARD_COMPILED_FLOATS(combine)

/// The gradient of dispatch: gradient(g, s, :) = sum over the token's kept choices of upstream(e, g, c, :). expert,
/// slot (G, S, K).
template <class MemorySpace, class T>
void dispatch_backward(Rank4<T const, MemorySpace> upstream, Rank3<int const, MemorySpace> expert,
                       Rank3<int const, MemorySpace> slot, Rank3<T, MemorySpace> gradient) {
  combine<MemorySpace, T>(upstream, expert, slot, {}, gradient);
}
GSHARD_COMPILED_FLOATS(dispatch_backward)

/// The gradient of combine with respect to the slots (E, G, C, M): the weight of the slot's route times upstream (G, S,
/// M) at its token, zeros for an empty slot.
template <class MemorySpace, class T, class W = T>
void combine_slots_backward(Rank3<T const, MemorySpace> upstream, Rank3<int const, MemorySpace> token_of_slot,
                            Rank3<int const, MemorySpace> expert, Rank3<W const, MemorySpace> weight,
                            Rank4<T, MemorySpace> gradient) {
  SlotRoutes<MemorySpace> const routes{expert,
                                       {},
                                       token_of_slot,
                                       extent(gradient, 0),
                                       extent(gradient, 1),
                                       extent(upstream, 1),
                                       extent(gradient, 2),
                                       extent(expert, 2)};
  tokens_to_rows<MemorySpace>(extent(gradient, 0) * extent(gradient, 1) * extent(gradient, 2),
                              TokensToRows<T, SlotRoutes<MemorySpace>, W>{routes, upstream.data(), weight.data(),
                                                                          gradient.data(), extent(gradient, 3)});
}
GSHARD_COMPILED_FLOATS(combine_slots_backward)

/// The gradient of combine with respect to the weights (G, S, K): the product of upstream (G, S, M) at the token with
/// the slot's row; 0 for a dropped choice.
template <class MemorySpace, class T, class W = T>
void combine_weights_backward(Rank3<T const, MemorySpace> upstream, Rank4<T const, MemorySpace> slots,
                              Rank3<int const, MemorySpace> expert, Rank3<int const, MemorySpace> slot,
                              Rank3<W, MemorySpace> gradient) {
  route_products<MemorySpace>(
      extent(gradient, 0) * extent(gradient, 1),
      RouteProducts<T, SlotRoutes<MemorySpace>, W>{routes_back<MemorySpace, T>(slots, expert, slot), slots.data(),
                                                   upstream.data(), gradient.data(), extent(upstream, 2)});
}
GSHARD_COMPILED_FLOATS(combine_weights_backward)

}  // namespace gshard::nn::detail
