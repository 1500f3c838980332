// SPDX-License-Identifier: Apache-2.0
// Gates against plain sequential readings: Algorithm 1 line by line, and every policy, on random small groups with
// ties, overflow, padding and empty groups.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "gating_test.hpp"

using namespace gshard;
using namespace gshard::test;
using namespace gshard::nn;
using namespace gshard::nn::detail;

namespace {

/// Random groups: 0 to 2 groups, 0 to 19 tokens, 1 to 8 experts, 0 to 7 slots, some tokens padding, whole groups at
/// times; coarse gates, so that ties are common, and zeros among them.
struct Case {
  std::size_t groups, tokens, experts, capacity;
  Cube<double> gates;
  Matrix<int> real;
  Matrix<double> numbers;

  Case(int round, int choices) {
    std::uint64_t counter = 0;
    auto const draw = [&](int bound) {
      return int(random_uniform<double>(24, std::uint64_t(round), counter++) * bound);
    };
    groups = round % 50 == 0 ? 0 : std::size_t(1 + draw(2));
    tokens = std::size_t(draw(20));
    experts = std::size_t(1 + draw(8));
    capacity = std::size_t(draw(8));
    int const padding = draw(4) == 0 ? 1 : 8;
    gates = Cube<double>("gates", groups, tokens, experts);
    real = Matrix<int>("real", groups, tokens);
    numbers = Matrix<double>("numbers", groups, tokens * std::size_t(choices - 1));
    for (std::size_t i = 0; i < numbers.size(); ++i)
      numbers.data()[i] = random_uniform<double>(25, std::uint64_t(round), i);
    for (std::size_t g = 0; g < groups; ++g)
      for (std::size_t s = 0; s < tokens; ++s) {
        real(g, s) = draw(padding) != 0;
        double sum = 0;
        for (std::size_t e = 0; e < experts; ++e) sum += gates(g, s, e) = draw(6);
        if (sum == 0) sum = gates(g, s, 0) = 1;
        for (std::size_t e = 0; e < experts; ++e) gates(g, s, e) = real(g, s) ? gates(g, s, e) / sum : not_a_number;
      }
  }
};

/// What a reading gives for one group.
struct Reading {
  std::vector<Route> routes{};
  std::vector<int> first_choices{}, choices{};
  double balance_loss = 0;
};

/// Algorithm 1 of the paper, its lines numbered. Padding is not among the tokens.
Reading algorithm_1(Case const& in, std::size_t group) {
  std::size_t const experts = in.experts;
  int const capacity = int(in.capacity);
  Reading out;
  std::vector<int> c(experts, 0);   // line 1
  std::vector<std::size_t> tokens;  // line 2: the gates are given
  for (std::size_t s = 0; s < in.tokens; ++s)
    if (in.real(group, s)) tokens.push_back(s);
  double const size = double(tokens.size());
  std::vector<double> m(experts, 0);
  for (std::size_t e = 0; e < experts; ++e)  // line 3
    for (std::size_t s : tokens) m[e] += in.gates(group, s, e) / size;
  auto const g = [&](std::size_t s, std::size_t e) { return in.gates(group, s, e); };
  auto const top_2 = [&](std::size_t s, std::size_t& e1, std::size_t& e2) {
    e1 = 0;
    for (std::size_t e = 1; e < experts; ++e)
      if (g(s, e) > g(s, e1)) e1 = e;
    e2 = e1 == 0 ? 1 : 0;
    for (std::size_t e = 0; e < experts; ++e)
      if (e != e1 && g(s, e) > g(s, e2)) e2 = e;
  };
  std::size_t e1, e2;
  for (std::size_t s : tokens) {                                            // line 4
    top_2(s, e1, e2);                                                       // line 5
    double const g1 = experts == 1 ? 1 : g(s, e1) / (g(s, e1) + g(s, e2));  // line 6
    int const position = c[e1];                                             // line 7
    if (position < capacity)                                                // line 8
      out.routes.push_back({int(s), int(e1), position, g1});                // line 9
    c[e1] = position + 1;                                                   // line 11
  }
  if (!tokens.empty())
    for (std::size_t e = 0; e < experts; ++e) out.balance_loss += c[e] / size * m[e] / double(experts);  // line 13
  out.first_choices = c;
  if (experts > 1)
    for (std::size_t s : tokens) {                              // line 14
      top_2(s, e1, e2);                                         // line 15
      double const g2 = g(s, e2) / (g(s, e1) + g(s, e2));       // line 16
      double const rnd = in.numbers(group, s);                  // line 17
      int const position = c[e2];                               // line 18
      if (position < capacity && 2 * g2 > rnd)                  // line 19
        out.routes.push_back({int(s), int(e2), position, g2});  // line 20
      c[e2] = position + 1;                                     // line 22
    }
  out.choices = c;
  std::stable_sort(out.routes.begin(), out.routes.end(),
                   [](Route const& a, Route const& b) { return a.token < b.token; });
  return out;
}

/// Any policy, as sequentially as that, and in another way than the kernels: with lists and sorting.
template <class Policy>
Reading policy(Case const& in, std::size_t group) {
  struct Choice {
    std::size_t token, number, expert;
    double gate, weight;
    bool sent;
    int slot = -1;
  };
  auto const g = [&](std::size_t s, std::size_t e) { return in.gates(group, s, e); };
  std::vector<std::size_t> tokens;
  for (std::size_t s = 0; s < in.tokens; ++s)
    if (in.real(group, s)) tokens.push_back(s);
  std::vector<std::vector<Choice>> chosen(in.tokens);
  Reading out;
  out.first_choices.assign(in.experts, 0);
  out.choices.assign(in.experts, 0);

  if constexpr (Policy::experts_choose) {
    for (std::size_t e = 0; e < in.experts; ++e) {
      auto order = tokens;
      std::erase_if(order, [&](std::size_t s) { return g(s, e) == 0; });
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return g(a, e) > g(b, e); });
      for (std::size_t c = 0; c < std::min(in.capacity, order.size()); ++c) {
        chosen[order[c]].push_back({order[c], 0, e, g(order[c], e), 0, true, int(c)});
        ++out.choices[e];
      }
    }
    for (std::size_t s : tokens) {
      std::stable_sort(chosen[s].begin(), chosen[s].end(),
                       [](Choice const& a, Choice const& b) { return a.gate > b.gate; });
      if (chosen[s].size() > std::size_t(Policy::choices))
        chosen[s].erase(chosen[s].begin() + Policy::choices, chosen[s].end());
      if (!chosen[s].empty()) ++out.first_choices[chosen[s][0].expert];
    }
  } else {
    for (std::size_t s : tokens) {
      std::vector<std::size_t> order(in.experts);
      for (std::size_t e = 0; e < in.experts; ++e) order[e] = e;
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return g(s, a) > g(s, b); });
      std::size_t const count = std::min(std::size_t(Policy::choices), in.experts);
      if (Policy::second_choice == SecondChoice::sampled)
        for (std::size_t k = 1; k < count; ++k) {
          std::sort(order.begin() + std::ptrdiff_t(k), order.end());
          double left = 0;
          for (std::size_t i = k; i < in.experts; ++i) left += g(s, order[i]);
          left *= in.numbers(group, s * std::size_t(Policy::choices - 1) + k - 1);
          std::size_t drawn = k;
          for (std::size_t i = k; i < in.experts; ++i) {
            if (g(s, order[i]) > 0) drawn = i;
            if (g(s, order[i]) > left) break;
            left -= g(s, order[i]);
          }
          std::swap(order[k], order[drawn]);
        }
      double sum = 0;
      for (std::size_t k = 0; k < count; ++k) sum += g(s, order[k]);
      for (std::size_t k = 0; k < count; ++k) {
        double const number = k > 0 && Policy::second_choice == SecondChoice::random
                                  ? in.numbers(group, s * std::size_t(Policy::choices - 1) + k - 1)
                                  : 0;
        chosen[s].push_back(
            {s, k, order[k], g(s, order[k]), 0, k == 0 || double(k + 1) * (g(s, order[k]) / sum) > number});
      }
    }
    for (std::size_t e = 0; e < in.experts; ++e) {
      std::vector<Choice*> in_order;
      for (std::size_t k = 0; k < std::size_t(Policy::choices); ++k)
        for (auto& of_token : chosen)
          for (Choice& choice : of_token)
            if (choice.expert == e && choice.number == k) in_order.push_back(&choice);
      out.choices[e] = int(in_order.size());
      out.first_choices[e] = int(
          std::count_if(in_order.begin(), in_order.end(), [](Choice const* choice) { return choice->number == 0; }));
      bool const freed = Policy::slot_of_dropped == SlotOfDropped::freed || Policy::drop != Drop::by_position;
      if (freed) std::erase_if(in_order, [](Choice const* choice) { return !choice->sent; });
      if (Policy::drop == Drop::by_probability)
        std::sort(in_order.begin(), in_order.end(), [](Choice const* a, Choice const* b) {
          return a->gate > b->gate || (a->gate == b->gate && a->token < b->token);
        });
      std::size_t const room = Policy::drop == Drop::never ? in_order.size() : std::min(in.capacity, in_order.size());
      for (std::size_t c = 0; c < room; ++c)
        if (in_order[c]->sent) in_order[c]->slot = int(c);
    }
  }
  for (std::size_t s : tokens) {
    double sum = 0;
    for (Choice const& choice : chosen[s])
      if (Policy::normalise == Normalise::before_drops || choice.slot >= 0) sum += choice.gate;
    if (Policy::normalise == Normalise::never) sum = 1;
    for (Choice const& choice : chosen[s])
      if (choice.slot >= 0)
        out.routes.push_back({int(s), int(choice.expert), choice.slot, sum == 0 ? 0 : choice.gate / sum});
  }
  for (std::size_t e = 0; e < in.experts; ++e) {
    double mean = 0;
    for (std::size_t s : tokens) mean += g(s, e);
    double const count = Policy::balance_choices == BalanceChoices::first ? out.first_choices[e]
                         : Policy::balance_choices == BalanceChoices::all ? out.choices[e]
                         : Policy::balance_choices == BalanceChoices::nothing
                             ? 0
                             : double(out.choices[e]) / double(std::min(std::size_t(Policy::choices), in.experts));
    if (!tokens.empty()) out.balance_loss += count * mean / double(tokens.size() * tokens.size()) / double(in.experts);
  }
  return out;
}

bool same(std::vector<Route> const& a, std::vector<Route> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](Route const& x, Route const& y) {
    return x.token == y.token && x.expert == y.expert && x.slot == y.slot && std::abs(x.weight - y.weight) <= 1e-14;
  });
}

/// Whether a gate gave what the reading gives, and holds it in every form that it has.
template <class Policy>
void check_group(Gate<double, Policy> const& gate, std::size_t group, Reading const& right) {
  auto const kept = gate.kept(group);
  REQUIRE(same(kept, right.routes));
  std::size_t const experts = gate.gates.extent(2), slots = gate.token_of_slot.extent(2);
  std::vector<int> kept_choices(experts, 0);
  std::vector<int> inverse(experts * slots, -1);
  for (Route const& route : right.routes) {
    ++kept_choices[std::size_t(route.expert)];
    if (slots > 0) inverse[std::size_t(route.expert) * slots + std::size_t(route.slot)] = route.token;
  }
  bool counted = true, listed = true;
  for (std::size_t e = 0; e < experts; ++e) {
    counted = counted && gate.first_choices(group, e) == right.first_choices[e] &&
              gate.choices(group, e) == right.choices[e] && gate.kept_choices(group, e) == kept_choices[e];
    for (std::size_t c = 0; c < slots; ++c)
      listed = listed && gate.token_of_slot(e, group, c) == inverse[e * slots + c];
  }
  REQUIRE(counted);
  REQUIRE(listed);
  REQUIRE(std::abs(gate.balance_loss(group) - right.balance_loss) <= 1e-14);
  bool no_weight = true;
  for (std::size_t s = 0; s < gate.gates.extent(1); ++s)
    for (std::size_t k = 0; k < Gate<double, Policy>::choices_of_token; ++k)
      no_weight = no_weight && (gate.slot(group, s, k) >= 0 || gate.weight(group, s, k) == 0);
  REQUIRE(no_weight);
}

template <class Policy>
Gate<double, Policy> gate_of(Case const& in) {
  Gate<double, Policy> gate(in.gates, Policy::drop == Drop::never ? 0 : in.capacity);
  gate.real = in.real;
  gate.chance = {.drawn = true, .numbers = in.numbers};
  return gate;
}

/// The gate with slots given expert by expert, as on accelerators.
template <class Policy>
void run_by_expert(Gate<double, Policy> const& gate) {
  std::int64_t const groups = std::int64_t(gate.gates.extent(0)), tokens = groups * std::int64_t(gate.gates.extent(1));
  launch<Host>("choices", tokens, GateChoices<Policy, double, Host>{gate.gates, gate.real, gate.chance, gate.routes()});
  launch<Host>("slots", groups * std::int64_t(gate.gates.extent(2)),
               SlotsByExpert<Policy, double, Host>{{gate.gates, gate.routes(), gate.counts()}});
  launch<Host>("weights", tokens, GateWeights<Policy, double, Host>{gate.gates, gate.routes()});
  balance<Policy, double, Host>(gate.gates, gate.real, gate.counts());
  Kokkos::fence();
}

struct Always : Top2Gate {
  static constexpr auto second_choice = SecondChoice::always;
};
struct Sampled : Top2Gate {
  static constexpr auto second_choice = SecondChoice::sampled;
};
template <class Gate>
struct Freed : Gate {
  static constexpr auto slot_of_dropped = SlotOfDropped::freed;
};
template <class Gate>
struct AfterDrops : Gate {
  static constexpr auto normalise = Normalise::after_drops;
};
template <class Gate>
struct Raw : Gate {
  static constexpr auto normalise = Normalise::never;
};
template <class Gate>
struct ByProbability : Gate {
  static constexpr auto drop = Drop::by_probability;
};
struct Random3 : TopKGate<3> {
  static constexpr auto second_choice = SecondChoice::random;
  static constexpr auto balance_choices = BalanceChoices::all;
};
struct Sampled3 : TopKGate<3> {
  static constexpr auto second_choice = SecondChoice::sampled;
  static constexpr auto slot_of_dropped = SlotOfDropped::freed;
  static constexpr auto normalise = Normalise::after_drops;
  static constexpr auto balance_choices = BalanceChoices::mean_of_all;
};

}  // namespace

TEST_CASE("T24: Algorithm 1, line by line, on 10,000 random inputs") {
  for (int round = 0; round < 10000; ++round) {
    CAPTURE(round);
    Case const in(round, 2);
    auto const gate = gate_of<Top2Gate>(in).run();
    auto const by_expert = gate_of<Top2Gate>(in);
    run_by_expert(by_expert);
    for (std::size_t group = 0; group < in.groups; ++group) {
      Reading const right = algorithm_1(in, group);
      check_group(gate, group, right);
      check_group(by_expert, group, right);
      // First choices fill an expert's slots in the order of the tokens.
      for (std::size_t e = 0; e < in.experts; ++e)
        for (int c = 1; c < std::min(int(in.capacity), right.first_choices[e]); ++c)
          REQUIRE(gate.token_of_slot(e, group, c) > gate.token_of_slot(e, group, c - 1));
    }
  }
}

TEST_CASE_TEMPLATE("every policy against its sequential reading, on 1,000 random inputs each", Policy, Top2Gate, Always,
                   Freed<Top2Gate>, Sampled, Freed<Sampled>, AfterDrops<Top2Gate>, AfterDrops<Freed<Top2Gate>>,
                   Raw<Top2Gate>, ByProbability<Top2Gate>, AfterDrops<ByProbability<Always>>, TopKGate<1>, SwitchGate,
                   ByProbability<SwitchGate>, TopKGate<3>, TopKGate<8>, Random3, ByProbability<Random3>, Sampled3,
                   Dropless<>, Dropless<SwitchGate>, Dropless<TopKGate<4>>, ExpertChoiceGate<1>, ExpertChoiceGate<2>,
                   ExpertChoiceGate<8>, AfterDrops<ExpertChoiceGate<3>>) {
  for (int round = 0; round < 1000; ++round) {
    CAPTURE(round);
    Case const in(round, Policy::choices);
    auto const gate = gate_of<Policy>(in).run();
    for (std::size_t group = 0; group < in.groups; ++group) check_group(gate, group, policy<Policy>(in, group));
    if constexpr (!Policy::experts_choose) {
      auto const by_expert = gate_of<Policy>(in);
      run_by_expert(by_expert);
      for (std::size_t group = 0; group < in.groups; ++group) check_group(by_expert, group, policy<Policy>(in, group));
    }
  }
}

TEST_CASE_TEMPLATE(
    "gradients of weights and of the balance loss against central differences, with drops of both kinds and padding",
    Policy, Top2Gate, AfterDrops<Top2Gate>, Raw<Top2Gate>, Sampled, SwitchGate, ByProbability<Top2Gate>, TopKGate<1>,
    TopKGate<3>, Random3, Sampled3, Dropless<>, ExpertChoiceGate<2>, AfterDrops<ExpertChoiceGate<3>>) {
  struct Wanted {
    std::size_t capacity;
    bool weights, loss;
  };
  for (Wanted const c : {Wanted{1, true, true}, Wanted{3, true, true}, Wanted{9, true, true}, Wanted{3, true, false},
                         Wanted{3, false, true}}) {
    constexpr std::size_t groups = 2, tokens = 9, experts = 5;
    Cube<double> logits("logits", groups, tokens, experts), gates("gates", groups, tokens, experts);
    drawn(logits, 21);
    Gate<double, Policy> gate(gates, Policy::drop == Drop::never ? 0 : c.capacity);
    gate.real = Matrix<int>("real", groups, tokens);
    Kokkos::deep_copy(gate.real, 1);
    gate.real(0, 3) = gate.real(1, 0) = 0;
    gate.chance = {.drawn = true, .seed = 5};
    Rank2<double, Host> const rows(gates.data(), groups * tokens, experts);
    Rank2<double const, Host> const logit_rows(logits.data(), groups * tokens, experts);
    auto const weight_upstream =
        drawn(Cube<double>("weight_upstream", groups, tokens, std::size_t(Policy::choices)), 22);
    auto const loss_upstream = vector_of<double>({3, -2});
    auto const loss = [&] {
      softmax<Host, double>(logit_rows, rows);
      gate.run();
      return (c.weights ? dot(gate.weight, weight_upstream) : 0) + (c.loss ? dot(gate.balance_loss, loss_upstream) : 0);
    };
    loss();
    // What stands where a choice was dropped must not matter.
    auto poisoned = Cube<double>("poisoned", groups, tokens, std::size_t(Policy::choices));
    for (std::size_t i = 0; i < gate.slot.size(); ++i)
      poisoned.data()[i] = gate.slot.data()[i] < 0 ? not_a_number : weight_upstream.data()[i];
    auto const gradient =
        gate.gradient(c.weights ? poisoned : Cube<double>(), c.loss ? loss_upstream : Vector<double>());
    CHECK(gradient_error(logits, gradient, loss) < 1e-9);
  }
}
