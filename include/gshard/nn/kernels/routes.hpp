// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>
#include <gshard/nn/moe/gates.hpp>

namespace gshard::nn::detail {

/// Where tokens go. Letters: G groups, S tokens of each, K choices of each, E experts, C slots of each expert for each
/// group.
template <class T, class MemorySpace>
struct Routes {
  /// (G, S, K): the choices; -1 for padding, and for those beyond the last expert
  Rank3<int, MemorySpace> expert;
  /// (G, S, K): the place among the expert's slots for the group; -1 when the choice is dropped
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

/// Whether the weight of a choice is divided by a sum that the choice's gate is part of.
template <class Gate>
KOKKOS_FORCEINLINE_FUNCTION constexpr bool in_divisor(int expert, int slot) {
  return expert >= 0 && Gate::normalise != Normalise::never &&
         (Gate::normalise == Normalise::before_drops || slot >= 0);
}

/// What the gates of one token's choices are divided by.
template <class Gate, class T>
KOKKOS_FORCEINLINE_FUNCTION T divisor_of_gates(T const* gates, int const* expert, int const* slot) {
  if constexpr (Gate::normalise == Normalise::never) return T(1);
  T sum = T(0);
  for (int k = 0; k < Gate::choices; ++k)
    if (in_divisor<Gate>(expert[k], slot[k])) sum += gates[expert[k]];
  return sum;
}

}  // namespace gshard::nn::detail
