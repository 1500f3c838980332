// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/most_probable.hpp>
#include <gshard/nn/kernels/routes.hpp>

namespace gshard::nn::detail {

/// Gives the slots of experts to the choices of one group, which come one after the other.
template <class Gate, class T, class MemorySpace>
struct SlotGiver {
  static constexpr bool ranks = Gate::drop == Drop::by_probability;
  static constexpr bool frees = Gate::drop == Drop::never || Gate::slot_of_dropped == SlotOfDropped::freed;
  Rank3<T const, MemorySpace> gates;
  Routes<T, MemorySpace> routes;
  GateCounts<T, MemorySpace> counts;

 protected:
  KOKKOS_FORCEINLINE_FUNCTION void start(std::int64_t group, int expert) const {
    counts.choices(group, expert) = counts.kept(group, expert) = 0;
    for (std::int64_t c = 0; c < extent(routes.token_of_slot, 2); ++c) routes.token_of_slot(expert, group, c) = -1;
  }

  /// The next choice of this expert. Without ranking, its slot is known at once.
  KOKKOS_FORCEINLINE_FUNCTION void take(std::int64_t group, int token, int choice, int expert) const {
    int& slot = routes.slot(group, token, choice);
    int& kept = counts.kept(group, expert);
    bool const sent = slot == 0;
    int const position = frees ? kept : counts.choices(group, expert);
    ++counts.choices(group, expert);
    slot = -1;
    if (!sent) return;
    if constexpr (ranks) {
      most_probable(group, expert).offer(token, kept);
    } else if (Gate::drop == Drop::never || position < extent(routes.token_of_slot, 2)) {
      slot = position;
      ++kept;
      if constexpr (Gate::drop != Drop::never) routes.token_of_slot(expert, group, position) = token;
    }
  }

  KOKKOS_FORCEINLINE_FUNCTION void end_of_first_choices(std::int64_t group, int expert) const {
    counts.first_choices(group, expert) = counts.choices(group, expert);
  }

  KOKKOS_FORCEINLINE_FUNCTION void finish(std::int64_t group, int expert) const {
    if constexpr (ranks) {
      int const kept = counts.kept(group, expert);
      most_probable(group, expert).sort(kept);
      for (int c = 0; c < kept; ++c) {
        int const token = routes.token_of_slot(expert, group, c);
        for (int k = 0; k < Gate::choices; ++k)
          if (routes.expert(group, token, k) == expert) routes.slot(group, token, k) = c;
      }
    }
  }

 private:
  KOKKOS_FORCEINLINE_FUNCTION MostProbable<T> most_probable(std::int64_t group, int expert) const {
    std::int64_t const most = extent(routes.token_of_slot, 2);
    return {routes.token_of_slot.data() + (expert * extent(routes.token_of_slot, 1) + group) * most, most,
            gates.data() + group * extent(gates, 1) * extent(gates, 2) + expert, extent(gates, 2)};
  }
};

/// All experts of one group: work in the choices, and not in choices times experts.
template <class Gate, class T, class MemorySpace>
struct SlotsByGroup : SlotGiver<Gate, T, MemorySpace> {
  KOKKOS_FUNCTION void operator()(std::int64_t group) const {
    int const tokens = static_cast<int>(this->gates.extent(1));
    int const experts = static_cast<int>(this->gates.extent(2));
    for (int e = 0; e < experts; ++e) this->start(group, e);
    for (int k = 0; k < Gate::choices; ++k) {
      for (int s = 0; s < tokens; ++s) {
        int const e = this->routes.expert(group, s, k);
        if (e >= 0) this->take(group, s, k, e);
      }
      if (k == 0)
        for (int e = 0; e < experts; ++e) this->end_of_first_choices(group, e);
    }
    for (int e = 0; e < experts; ++e) this->finish(group, e);
  }
};

/// One expert of one group: more work in all, and more of it side by side.
template <class Gate, class T, class MemorySpace>
struct SlotsByExpert : SlotGiver<Gate, T, MemorySpace> {
  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    int const tokens = static_cast<int>(this->gates.extent(1));
    std::int64_t const group = item / extent(this->gates, 2);
    int const expert = static_cast<int>(item % extent(this->gates, 2));
    this->start(group, expert);
    for (int k = 0; k < Gate::choices; ++k) {
      for (int s = 0; s < tokens; ++s)
        if (this->routes.expert(group, s, k) == expert) this->take(group, s, k, expert);
      if (k == 0) this->end_of_first_choices(group, expert);
    }
    this->finish(group, expert);
  }
};

/// Gives the choices of each group their slots, all first ones before any second one; what was to be sent has slot 0
/// before, and the rest -1.
template <class Gate, class T, class MemorySpace>
void give_slots(Rank3<T const, MemorySpace> gates, Routes<T, MemorySpace> const& routes,
                GateCounts<T, MemorySpace> const& counts) {
  if constexpr (runs_on_host<MemorySpace>)
    launch<MemorySpace>("gshard::gate_slots", extent(gates, 0),
                        SlotsByGroup<Gate, T, MemorySpace>{{gates, routes, counts}});
  else
    launch<MemorySpace>("gshard::gate_slots", extent(gates, 0) * extent(gates, 2),
                        SlotsByExpert<Gate, T, MemorySpace>{{gates, routes, counts}});
}

}  // namespace gshard::nn::detail
