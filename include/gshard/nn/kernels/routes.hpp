// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/extremes.hpp>
#include <gshard/nn/gating/gates.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// Orders gates: NaN ranks above all numbers, so that a token of NaN is routed like any other, and shows, whatever the
/// order of tokens and experts.
using gshard::detail::is_larger;

/// Where tokens go. Letters: G groups, S tokens of each, K choices of each, E experts, C slots of each expert for each
/// group.
template <class T, class MemorySpace>
struct Routes {
  /// (G, S, K): the choices; -1 where there is none: for padding, beyond the last expert, and where no expert chose the
  /// token
  Rank3<int, MemorySpace> expert;
  /// (G, S, K): the place among the expert's slots for the group; -1 where there is no choice, or it is dropped
  Rank3<int, MemorySpace> slot;
  Rank3<T, MemorySpace> weight;           ///< (G, S, K): 0 when the choice is dropped
  Rank3<int, MemorySpace> token_of_slot;  ///< (E, G, C): the inverse; -1 for an empty slot
};

/// How the choices spread over the experts.
template <class T, class MemorySpace>
struct GateCounts {
  Rank2<int, MemorySpace> first_choices;  ///< (G, E): tokens that chose the expert first, overflow included
  /// (G, E): all choices of the expert, dropped ones included: c_e when Algorithm 1 ends
  Rank2<int, MemorySpace> choices;
  Rank2<int, MemorySpace> kept;        ///< (G, E): choices that have a slot
  Rank1<int, MemorySpace> tokens;      ///< (G): real tokens
  Rank2<T, MemorySpace> mean_gates;    ///< (G, E): the mean gate over the real tokens: m_e
  Rank1<T, MemorySpace> balance_loss;  ///< (G): (1/E) sum_e (c_e/S) m_e
};

/// The first place of [first, count) that is wanted, or `count`. Few are: compilers see in vector code that a block
/// holds none.
template <class Wanted>
KOKKOS_FORCEINLINE_FUNCTION int first_wanted(int first, int count, Wanted const& wanted) {
  constexpr int width = 16;
  for (; first + width <= count; first += width) {
    int any = 0;
    for (int k = 0; k < width; ++k) any |= wanted(first + k) ? 1 : 0;
    if (any != 0) break;
  }
  while (first < count && !wanted(first)) ++first;
  return first;
}

/// Whether `index` is one of `count`. Tables of routes that a caller wrote may name experts, slots and tokens that do
/// not exist: such a route is passed over as a dropped one is.
KOKKOS_FORCEINLINE_FUNCTION constexpr bool is_index(std::int64_t index, std::int64_t count) {
  return index >= 0 && index < count;
}

/// The choices of one token among E experts, and their slots.
template <class Gate, class T>
struct TokenChoices {
  T const* gates;     ///< (E)
  int const* expert;  ///< (K)
  int const* slot;    ///< (K)
  std::int64_t experts;

  KOKKOS_FORCEINLINE_FUNCTION bool is_kept(int choice) const {
    return slot[choice] >= 0 && is_index(expert[choice], experts);
  }

  /// Whether the weight of a choice is divided by a sum that the choice's gate is part of.
  KOKKOS_FORCEINLINE_FUNCTION bool is_in_divisor(int choice) const {
    if constexpr (Gate::normalise == Normalise::never) return false;
    else if constexpr (Gate::normalise == Normalise::after_drops) return is_kept(choice);
    else return is_index(expert[choice], experts);
  }

  /// What the gates of the choices are divided by.
  KOKKOS_FORCEINLINE_FUNCTION T divisor() const {
    if constexpr (Gate::normalise == Normalise::never) return T(1);
    T sum = T(0);
    for (int k = 0; k < Gate::choices; ++k)
      if (is_in_divisor(k)) sum += gates[expert[k]];
    return sum;
  }
};

}  // namespace gshard::nn::detail
