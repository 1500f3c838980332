// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/random.hpp>
#include <gshard/nn/kernels/column_sums.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn {

/// Which second choices are sent to their expert, capacity permitting (paper, section 2.2, "random routing").
enum class SecondChoicePolicy {
  always,  ///< each one that has any weight
  random   ///< with probability 2 * g2, where g2 is its weight, at most 1/2
};

}  // namespace gshard::nn

namespace gshard::nn::detail {

/// Where tokens go. Letters: G groups, S tokens of each, E experts, C slots of each expert for each group.
template <class T, class MemorySpace>
struct Routes {
  Rank3<int, MemorySpace> expert;         ///< (G, S, 2): first and second choice; -1 for padding, and for the second of a lone expert
  Rank3<int, MemorySpace> slot;           ///< (G, S, 2): the place in the expert's buffer; -1 when the choice is dropped
  Rank3<T, MemorySpace> weight;           ///< (G, S, 2): normalised over the two choices before any drop; 0 when the choice is dropped
  Rank3<int, MemorySpace> token_of_slot;  ///< (E, G, C): the inverse; -1 for an empty slot
};

/// How the choices spread over the experts.
template <class T, class MemorySpace>
struct GateStatistics {
  Rank2<int, MemorySpace> first_choices;  ///< (G, E): tokens that chose the expert first, overflow included: c_e in the loss
  Rank2<int, MemorySpace> choices;        ///< (G, E): all its choices, dropped ones included: c_e when Algorithm 1 ends
  Rank2<T, MemorySpace> mean_gates;       ///< (G, E): the mean gate over the real tokens: m_e
  Rank1<T, MemorySpace> balance_loss;     ///< (G): (1/E) sum_e (c_e/S) m_e; E^2 times it is 1 for an even spread and E for a collapse
};

/// The random part of the gate. The number of a token depends on the seed, the stream and the token's global index alone.
template <class T, class MemorySpace>
struct SecondChoice {
  SecondChoicePolicy policy = SecondChoicePolicy::random;
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;                ///< one for each layer and step
  std::uint64_t first_token = 0;           ///< global index of this block's first token: its first group times S
  Rank2<T const, MemorySpace> numbers{};   ///< (G, S), in [0, 1): taken in place of drawn ones, unless empty
};

/// One token: its two choices, their weights, and whether chance lets the second one go (as slot 0 or -1).
template <class T, class MemorySpace>
struct GateChoices {
  Rank3<T const, MemorySpace> gates;
  Rank2<int const, MemorySpace> real;
  SecondChoice<T, MemorySpace> second;
  Routes<T, MemorySpace> routes;

  KOKKOS_FUNCTION void operator()(std::int64_t token) const {
    int* const expert = routes.expert.data() + 2 * token;
    int* const slot = routes.slot.data() + 2 * token;
    T* const weight = routes.weight.data() + 2 * token;
    int const experts = static_cast<int>(gates.extent(2));
    slot[0] = slot[1] = -1;
    expert[0] = expert[1] = -1;
    weight[0] = weight[1] = T(0);
    if (experts == 0 || (real.data() != nullptr && real.data()[token] == 0)) return;
    if (experts == 1) {
      expert[0] = 0;
      weight[0] = T(1);
      return;
    }
    T const* const g = gates.data() + token * experts;
    // A tie goes to the lower expert, in both choices.
    int first = g[1] > g[0] ? 1 : 0;
    int other = 1 - first;
    for (int e = 2; e < experts; ++e) {
      if (g[e] > g[first]) {
        other = first;
        first = e;
      } else if (g[e] > g[other]) {
        other = e;
      }
    }
    T const sum = g[first] + g[other];
    expert[0] = first;
    expert[1] = other;
    weight[0] = g[first] / sum;
    weight[1] = g[other] / sum;
    T number = T(0);
    if (second.policy == SecondChoicePolicy::random)
      number = second.numbers.data() != nullptr
                   ? second.numbers.data()[token]
                   : random_uniform<T>(second.seed, second.stream, second.first_token + static_cast<std::uint64_t>(token));
    if (T(2) * weight[1] > number) slot[1] = 0;
  }
};

/// Gives slots to one group's choices, all first ones before any second one. Every choice advances its expert's count, whether it is kept
/// or not.
template <class T, class MemorySpace>
struct GateSlotsByGroup {
  Routes<T, MemorySpace> routes;
  GateStatistics<T, MemorySpace> statistics;

  KOKKOS_FUNCTION void operator()(std::int64_t group) const {
    std::int64_t const experts = extent(routes.token_of_slot, 0);
    std::int64_t const capacity = extent(routes.token_of_slot, 2);
    int* const counts = statistics.choices.data() + group * experts;
    int* const first_counts = statistics.first_choices.data() + group * experts;
    for (std::int64_t e = 0; e < experts; ++e) {
      counts[e] = 0;
      for (std::int64_t c = 0; c < capacity; ++c) routes.token_of_slot(e, group, c) = -1;
    }
    place(group, 0, capacity, counts);
    for (std::int64_t e = 0; e < experts; ++e) first_counts[e] = counts[e];
    place(group, 1, capacity, counts);
  }

 private:
  KOKKOS_FUNCTION void place(std::int64_t group, int choice, std::int64_t capacity, int* counts) const {
    int const tokens = static_cast<int>(routes.expert.extent(1));
    for (int s = 0; s < tokens; ++s) {
      int const e = routes.expert(group, s, choice);
      if (e < 0) continue;
      int const position = counts[e]++;
      if (position < capacity && (choice == 0 || routes.slot(group, s, 1) == 0)) {
        routes.slot(group, s, choice) = position;
        routes.token_of_slot(e, group, position) = s;
      } else {
        routes.slot(group, s, choice) = -1;
        routes.weight(group, s, choice) = T(0);
      }
    }
  }
};

/// The same for one expert of one group: more work in all, and more of it side by side.
template <class T, class MemorySpace>
struct GateSlotsByExpert {
  Routes<T, MemorySpace> routes;
  GateStatistics<T, MemorySpace> statistics;

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const experts = extent(routes.token_of_slot, 0);
    std::int64_t const capacity = extent(routes.token_of_slot, 2);
    std::int64_t const group = item / experts;
    int const expert = static_cast<int>(item % experts);
    int const tokens = static_cast<int>(routes.expert.extent(1));
    for (std::int64_t c = 0; c < capacity; ++c) routes.token_of_slot(expert, group, c) = -1;
    int count = 0;
    for (int choice = 0; choice < 2; ++choice) {
      for (int s = 0; s < tokens; ++s) {
        if (routes.expert(group, s, choice) != expert) continue;
        int const position = count++;
        if (position < capacity && (choice == 0 || routes.slot(group, s, 1) == 0)) {
          routes.slot(group, s, choice) = position;
          routes.token_of_slot(expert, group, position) = s;
        } else {
          routes.slot(group, s, choice) = -1;
          routes.weight(group, s, choice) = T(0);
        }
      }
      if (choice == 0) statistics.first_choices(group, expert) = count;
    }
    statistics.choices(group, expert) = count;
  }
};

/// The sum of the real tokens' gates, for each group and expert.
template <class T, class MemorySpace>
struct GateSums {
  static constexpr int sums = 1;
  Rank3<T const, MemorySpace> gates;
  Rank2<int const, MemorySpace> real;
  Rank2<T, MemorySpace> result;

  KOKKOS_FORCEINLINE_FUNCTION void terms(std::int64_t group, std::int64_t row, std::int64_t column, double (&out)[sums]) const {
    std::int64_t const token = group * extent(gates, 1) + row;
    if (real.data() == nullptr || real.data()[token] != 0) out[0] = gates.data()[token * extent(gates, 2) + column];
  }
  KOKKOS_FORCEINLINE_FUNCTION void store(std::int64_t group, std::int64_t column, double const (&totals)[sums]) const {
    result(group, column) = static_cast<T>(totals[0]);
  }
};

/// Turns one group's sums into means, and into its balance loss.
template <class T, class MemorySpace>
struct GateBalance {
  GateStatistics<T, MemorySpace> statistics;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t group, Lanes const& lanes) const {
    std::int64_t const experts = extent(statistics.mean_gates, 1);
    int const* const count = statistics.first_choices.data() + group * experts;
    T* const mean = statistics.mean_gates.data() + group * experts;
    auto const tokens = static_cast<double>(lanes.template sum<std::int64_t>(experts, [=](std::int64_t e) { return count[e]; }));
    double const inverse = tokens > 0 ? 1.0 / tokens : 0.0;
    lanes.each(experts, [=](std::int64_t e) { mean[e] = static_cast<T>(mean[e] * inverse); });
    double const loss = lanes.template sum<double>(experts, [=](std::int64_t e) { return count[e] * inverse * mean[e]; });
    lanes.once([&] { statistics.balance_loss(group) = static_cast<T>(experts > 0 ? loss / static_cast<double>(experts) : 0.0); });
  }
};

/// Top-2 gating: Algorithm 1 of the paper, on gates (G, S, E) that are a softmax already; C is the extent of routes.token_of_slot. `real`
/// (G, S) is 0 for padding, which is neither routed nor counted; empty: all tokens are real. In each group, tokens take slots in order, all
/// first choices before any second one; a choice that finds C or more before it is dropped. The weights are g1/(g1+g2) and g2/(g1+g2), and
/// are not normalised again after a drop. A second choice dropped by chance still advances its expert's count (line 22), so it leaves a
/// slot empty; one whose weight is 0 is dropped under either policy. Equal gates: the lower expert goes first.
template <class T, class MemorySpace>
void top2_gate(Rank3<T const, MemorySpace> gates, Rank2<int const, MemorySpace> real, SecondChoice<T, MemorySpace> second,
               Routes<T, MemorySpace> routes, GateStatistics<T, MemorySpace> statistics) {
  std::int64_t const groups = extent(gates, 0);
  std::int64_t const experts = extent(gates, 2);
  if (groups == 0) return;
  launch<MemorySpace>("gshard::gate_choices", groups * extent(gates, 1), GateChoices<T, MemorySpace>{gates, real, second, routes});
  if constexpr (runs_on_host<MemorySpace>)
    launch<MemorySpace>("gshard::gate_slots", groups, GateSlotsByGroup<T, MemorySpace>{routes, statistics});
  else
    launch<MemorySpace>("gshard::gate_slots", groups * experts, GateSlotsByExpert<T, MemorySpace>{routes, statistics});
  column_sums<MemorySpace>("gshard::gate_sums", groups, extent(gates, 1), experts,
                           GateSums<T, MemorySpace>{gates, real, statistics.mean_gates});
  for_each_row<MemorySpace>("gshard::gate_balance", groups, GateBalance<T, MemorySpace>{statistics});
}

}  // namespace gshard::nn::detail
