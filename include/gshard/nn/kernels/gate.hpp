// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/random.hpp>
#include <gshard/nn/gating/gates.hpp>
#include <gshard/nn/kernels/expert_choice.hpp>
#include <gshard/nn/kernels/gate_balance.hpp>
#include <gshard/nn/kernels/gate_slots.hpp>
#include <gshard/nn/kernels/routes.hpp>

namespace gshard::nn::detail {

/// The random part of a gate. The numbers of a token depend on the seed, the stream and the token's global index alone.
template <class T, class MemorySpace>
struct GateChance {
  bool drawn = false;  ///< whether chance plays a part
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;               ///< one for each layer and step
  std::uint64_t first_token = 0;          ///< global index of this block's first token: its first group times S
  Rank2<T const, MemorySpace> numbers{};  ///< (G, S * (K - 1)), in [0, 1): taken in place of drawn ones, unless empty

  /// The number of a token's choice, of those after the first.
  template <int K>
  KOKKOS_FORCEINLINE_FUNCTION T number(std::int64_t token, int choice) const {
    std::int64_t const place = token * (K - 1) + choice - 1;
    if (numbers.data() != nullptr) return numbers.data()[place];
    return random_uniform<T>(seed, stream, first_token * (K - 1) + static_cast<std::uint64_t>(place));
  }
};

/// One token: its choices, and which of them chance lets go (slot 0, or -1).
template <class Gate, class T, class MemorySpace>
struct GateChoices {
  static constexpr int most = Gate::choices;
  Rank3<T const, MemorySpace> gates;
  Rank2<int const, MemorySpace> mask;
  GateChance<T, MemorySpace> chance;
  Routes<T, MemorySpace> routes;

  KOKKOS_FUNCTION void operator()(std::int64_t token) const {
    int* const expert = routes.expert.data() + most * token;
    int* const slot = routes.slot.data() + most * token;
    int const experts = static_cast<int>(gates.extent(2));
    bool const is_token = mask.data() == nullptr || mask.data()[token] != 0;
    int const count = !is_token ? 0 : experts < most ? experts : most;
    for (int k = count; k < most; ++k) expert[k] = slot[k] = -1;
    if (count == 0) return;
    T const* const g = gates.data() + token * experts;
    int chosen[most] = {};
    if (Gate::second_choice == SecondChoice::sampled && chance.drawn) sample(token, g, experts, count, chosen);
    else take_largest(g, experts, chosen);
    T sum = T(0);
    for (int k = 0; k < count; ++k) sum += g[chosen[k]];
    for (int k = 0; k < count; ++k) {
      expert[k] = chosen[k];
      slot[k] = goes(token, k, g[chosen[k]], sum) ? 0 : -1;
    }
  }

 private:
  /// The gates that rank highest, of equals the first, in order.
  KOKKOS_FORCEINLINE_FUNCTION static void take_largest(T const* g, int experts, int (&chosen)[most]) {
    T largest[most] = {};
    for (int e = 0; e < experts; ++e) {
      if (e >= most && !is_larger(g[e], largest[most - 1])) continue;
      int place = e < most ? e : most - 1;
      for (; place > 0 && is_larger(g[e], largest[place - 1]); --place) {
        largest[place] = largest[place - 1];
        chosen[place] = chosen[place - 1];
      }
      largest[place] = g[e];
      chosen[place] = e;
    }
  }

  /// The gate that ranks highest, and then experts drawn by their gates from the rest.
  KOKKOS_FORCEINLINE_FUNCTION void sample(std::int64_t token, T const* g, int experts, int count,
                                          int (&chosen)[most]) const {
    chosen[0] = 0;
    for (int e = 1; e < experts; ++e)
      if (is_larger(g[e], g[chosen[0]])) chosen[0] = e;
    double rest = ThreadLanes::sum<double>(experts, [&](std::int64_t e) { return g[e]; });
    for (int k = 1; k < count; ++k) {
      rest -= static_cast<double>(g[chosen[k - 1]]);
      chosen[k] = draw(g, experts, chosen, k, static_cast<double>(chance.template number<most>(token, k)) * rest);
    }
  }

  /// The first expert, of those not chosen, at which their gates add up to more than `left`. Rounding may leave
  /// something over: then the last one with any gate; and where none has any, the first one.
  KOKKOS_FORCEINLINE_FUNCTION static int draw(T const* g, int experts, int const (&chosen)[most], int count,
                                              double left) {
    int drawn = -1;
    for (int e = 0; e < experts; ++e) {
      if (among(e, chosen, count)) continue;
      bool const possible = g[e] > T(0);
      if (possible || drawn < 0) drawn = e;
      if (possible && left < static_cast<double>(g[e])) break;
      left -= static_cast<double>(g[e]);
    }
    return drawn;
  }

  KOKKOS_FORCEINLINE_FUNCTION static bool among(int e, int const (&chosen)[most], int count) {
    for (int k = 0; k < count; ++k)
      if (chosen[k] == e) return true;
    return false;
  }

  /// Whether a choice is sent, of the gates of all choices `sum`: not where its gate is 0.
  KOKKOS_FORCEINLINE_FUNCTION bool goes(std::int64_t token, int choice, T gate, T sum) const {
    if (choice == 0) return gate != T(0);
    T const weight = gate / sum;
    T number = T(0);
    if (Gate::second_choice == SecondChoice::random && chance.drawn)
      number = chance.template number<most>(token, choice);
    return static_cast<T>(choice + 1) * weight > number;
  }
};

/// One token's weights, of the choices that have a slot.
template <class Gate, class T, class MemorySpace>
struct GateWeights {
  Rank3<T const, MemorySpace> gates;
  Routes<T, MemorySpace> routes;

  KOKKOS_FUNCTION void operator()(std::int64_t token) const {
    TokenChoices<Gate, T> const choices{gates.data() + token * extent(gates, 2),
                                        routes.expert.data() + Gate::choices * token,
                                        routes.slot.data() + Gate::choices * token, extent(gates, 2)};
    T* const weight = routes.weight.data() + Gate::choices * token;
    T const sum = choices.divisor();
    for (int k = 0; k < Gate::choices; ++k)
      weight[k] = choices.is_kept(k) && sum != T(0) ? choices.gates[choices.expert[k]] / sum : T(0);
  }
};

/// A gate, on gates (G, S, E) that are a softmax already; C is the extent of routes.token_of_slot. `mask` (G, S) is 0
/// for padding, whose gates are not read, and which is neither routed nor counted; empty: there is no padding.
/// A choice whose gate is 0, as that of a masked expert, is dropped as if by chance; experts that choose take no token
/// whose gate is 0. A token whose gates are NaN chooses the first expert, or is chosen before others, with weight NaN.
template <class Gate, class T, class MemorySpace>
void run_gate(Rank3<T const, MemorySpace> gates, Rank2<int const, MemorySpace> mask,
              GateChance<T, MemorySpace> const& chance, Routes<T, MemorySpace> const& routes,
              GateCounts<T, MemorySpace> const& counts) {
  std::int64_t const tokens = extent(gates, 0) * extent(gates, 1);
  if constexpr (Gate::experts_choose) {
    let_experts_choose<Gate>(gates, mask, routes, counts);
  } else {
    launch<MemorySpace>("gshard::gate_choices", tokens, GateChoices<Gate, T, MemorySpace>{gates, mask, chance, routes});
    give_slots<Gate>(gates, routes, counts);
  }
  launch<MemorySpace>("gshard::gate_weights", tokens, GateWeights<Gate, T, MemorySpace>{gates, routes});
  balance<Gate>(gates, mask, counts);
}

}  // namespace gshard::nn::detail
