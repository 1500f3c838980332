// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/most_probable.hpp>
#include <gshard/nn/kernels/routes.hpp>

namespace gshard::nn::detail {

/// What the kernels of a gate in which experts choose share.
template <class T, class MemorySpace>
struct ExpertChoiceViews {
  Rank3<T const, MemorySpace> gates;
  Rank2<int const, MemorySpace> mask;
  Routes<T, MemorySpace> routes;
  GateCounts<T, MemorySpace> counts;

  KOKKOS_FORCEINLINE_FUNCTION MostProbable<T> most_probable(std::int64_t group, int expert) const {
    std::int64_t const most = extent(routes.token_of_slot, 2);
    return {routes.token_of_slot.data() + (expert * extent(routes.token_of_slot, 1) + group) * most, most,
            gates.data() + group * extent(gates, 1) * extent(gates, 2) + expert, extent(gates, 2)};
  }
};

/// A few neighbouring experts of one group take their tokens, in one walk over these, none whose gate is 0. `choices`
/// is how many each took, and `mean_gates`, for the time being, the gate of the last token of an expert whose slots are
/// all taken, else 0.
template <int Width, class T, class MemorySpace>
struct ExpertsTake : ExpertChoiceViews<T, MemorySpace> {
  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const tokens = extent(this->gates, 1);
    int const experts = static_cast<int>(this->gates.extent(2));
    int const blocks = (experts + Width - 1) / Width;
    std::int64_t const group = item / blocks;
    int const first = static_cast<int>(item % blocks) * Width;
    int const width = experts - first < Width ? experts - first : Width;
    std::int64_t const most = extent(this->routes.token_of_slot, 2);
    int taken[Width] = {};
    T least[Width];  // up to which a token is not taken; comparisons are such that NaN is
    for (int e = 0; e < width; ++e) least[e] = most > 0 ? T(0) : Kokkos::Experimental::infinity_v<T>;
    for (int s = 0; s < static_cast<int>(tokens); ++s) {
      if (this->mask.data() != nullptr && this->mask.data()[group * tokens + s] == 0) continue;
      T const* const g = this->gates.data() + (group * tokens + s) * experts + first;
      auto const taken_now = [&](int e) { return !(g[e] <= least[e]); };
      for (int e = first_wanted(0, width, taken_now); e < width; e = first_wanted(e + 1, width, taken_now)) {
        auto const heap = this->most_probable(group, first + e);
        heap.offer(s, taken[e]);
        if (taken[e] == most) least[e] = heap.gates[heap.tokens[0] * heap.stride];
      }
    }
    for (int e = 0; e < width; ++e) {
      this->counts.mean_gates(group, first + e) = taken[e] == most ? least[e] : T(0);
      this->most_probable(group, first + e).sort(taken[e]);
      for (std::int64_t c = taken[e]; c < extent(this->routes.token_of_slot, 2); ++c)
        this->routes.token_of_slot(first + e, group, c) = -1;
      this->counts.choices(group, first + e) = taken[e];
    }
  }
};

/// One token stays with the experts whose gates rank highest, of those that took it.
template <class Gate, class T, class MemorySpace>
struct TokenStays : ExpertChoiceViews<T, MemorySpace> {
  static constexpr int most = Gate::choices;

  KOKKOS_FUNCTION void operator()(std::int64_t token) const {
    int const experts = static_cast<int>(this->gates.extent(2));
    std::int64_t const group = token / extent(this->gates, 1);
    int const s = static_cast<int>(token % extent(this->gates, 1));
    T const* const g = this->gates.data() + token * experts;
    int* const expert = this->routes.expert.data() + most * token;
    int* const slot = this->routes.slot.data() + most * token;
    for (int k = 0; k < most; ++k) expert[k] = slot[k] = -1;
    if (this->mask.data() != nullptr && this->mask.data()[token] == 0) return;
    int count = 0;
    T const* const least = this->counts.mean_gates.data() + group * experts;
    auto const taken = [=](int e) { return !(g[e] < least[e]); };
    for (int e = first_wanted(0, experts, taken); e < experts; e = first_wanted(e + 1, experts, taken)) {
      if (count == most && !is_larger(g[e], g[expert[most - 1]])) continue;
      int const found = this->most_probable(group, e).slot_of(s, this->counts.choices(group, e));
      if (found < 0) continue;
      int place = count < most ? count++ : most - 1;
      for (; place > 0 && is_larger(g[e], g[expert[place - 1]]); --place) {
        expert[place] = expert[place - 1];
        slot[place] = slot[place - 1];
      }
      expert[place] = e;
      slot[place] = found;
    }
  }
};

/// One expert of one group gives up the tokens that did not stay.
template <class Gate, class T, class MemorySpace>
struct ExpertGivesUp : ExpertChoiceViews<T, MemorySpace> {
  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const group = item / extent(this->gates, 2);
    int const expert = static_cast<int>(item % extent(this->gates, 2));
    int kept = 0, first = 0;
    for (int c = 0; c < this->counts.choices(group, expert); ++c) {
      int& token = this->routes.token_of_slot(expert, group, c);
      bool stays = false;
      for (int k = 0; k < Gate::choices; ++k) stays = stays || this->routes.expert(group, token, k) == expert;
      if (stays && this->routes.expert(group, token, 0) == expert) ++first;
      if (stays) ++kept;
      else token = -1;
    }
    this->counts.kept(group, expert) = kept;
    this->counts.first_choices(group, expert) = first;
  }
};

/// Each expert takes as many tokens of each group as it has slots, those whose gates rank highest.
template <class Gate, class T, class MemorySpace>
void let_experts_choose(Rank3<T const, MemorySpace> gates, Rank2<int const, MemorySpace> mask,
                        Routes<T, MemorySpace> const& routes, GateCounts<T, MemorySpace> const& counts) {
  constexpr int width = runs_on_host<MemorySpace> ? 64 : 1;
  std::int64_t const groups = extent(gates, 0), experts = extent(gates, 2);
  launch<MemorySpace>("gshard::experts_take", groups * ((experts + width - 1) / width),
                      ExpertsTake<width, T, MemorySpace>{{gates, mask, routes, counts}});
  launch<MemorySpace>("gshard::token_stays", groups * extent(gates, 1),
                      TokenStays<Gate, T, MemorySpace>{{gates, mask, routes, counts}});
  launch<MemorySpace>("gshard::expert_gives_up", groups * experts,
                      ExpertGivesUp<Gate, T, MemorySpace>{{gates, mask, routes, counts}});
}

}  // namespace gshard::nn::detail
