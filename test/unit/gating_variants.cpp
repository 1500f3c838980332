// SPDX-License-Identifier: Apache-2.0
// What each policy of a gate changes, by small groups.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gating_test.hpp"

using namespace gshard;
using namespace gshard::test;
using namespace gshard::nn;
using namespace gshard::nn::detail;

namespace {

struct Freed : Top2Gate {
  static constexpr auto slot_of_dropped = SlotOfDropped::freed;
};
struct Sampled : Top2Gate {
  static constexpr auto second_choice = SecondChoice::sampled;
};
struct Always : Top2Gate {
  static constexpr auto second_choice = SecondChoice::always;
};
struct AfterDrops : Top2Gate {
  static constexpr auto normalise = Normalise::after_drops;
};
struct Raw : Top2Gate {
  static constexpr auto normalise = Normalise::never;
};
struct AllChoices : Top2Gate {
  static constexpr auto balance_choices = BalanceChoices::all;
};
struct MeanOfChoices : Top2Gate {
  static constexpr auto balance_choices = BalanceChoices::mean_of_all;
};
struct Three : TopKGate<3> {
  static constexpr auto second_choice = SecondChoice::random;
};
template <class Gate>
struct ByProbability : Gate {
  static constexpr auto drop = Drop::by_probability;
};

}  // namespace

// ---- Slots and chance ----

TEST_CASE("T08: a choice dropped by chance frees its slot, if the gate says so") {
  auto const gates = one_group({{.6, .3, .1}, {.1, .35, .55}, {.2, .2, .6}});
  Gate<double, Freed> one(gates, 1);
  one.with_numbers({.95, .2, .99}).run();
  check_routes(one.kept(), {{0, 0, 0, 2 / 3.}, {1, 2, 0, 11 / 18.}, {1, 1, 0, 7 / 18.}});
  check_near(one.choices, {2, 2, 2}, 0);
  check_near(one.kept_choices, {1, 1, 1}, 0);

  Gate<double, Freed> two(gates, 2);
  two.with_numbers({.95, .2, .99}).run();
  check_routes(two.kept(), {{0, 0, 0, 2 / 3.}, {1, 2, 0, 11 / 18.}, {1, 1, 0, 7 / 18.}, {2, 2, 1, .75}});
}

TEST_CASE("line 22 of Algorithm 1, not followed: tokens 1 and 2 get slots 0 and 1 of the second expert") {
  Gate<double, Freed> gate(one_group({{.80, .15, .03, .02}, {.60, .35, .03, .02}, {.55, .40, .03, .02}}), 2);
  gate.with_numbers({.9, .1, .1}).run();
  check_routes(gate.kept(), {{0, 0, 0, 16 / 19.}, {1, 0, 1, 12 / 19.}, {1, 1, 0, 7 / 19.}, {2, 1, 1, 8 / 19.}});
}

TEST_CASE("T19: a choice without weight is skipped where its slot is freed") {
  auto const gate = Gate<double, Freed>(one_group({{0, 0, 1}, {.3, .6, .1}}), 1).run();
  check_routes(gate.kept(), {{0, 2, 0, 1}, {1, 1, 0, 2 / 3.}, {1, 0, 0, 1 / 3.}});
}

TEST_CASE("T20: a second choice is sampled from the gates of the experts not chosen") {
  struct Case {
    double number;
    int second;
  };
  // P(second) = 0, .6, .2, .2.
  for (Case const c : {Case{0, 1}, Case{.599, 1}, Case{.601, 2}, Case{.799, 2}, Case{.801, 3}, Case{1 - 0x1p-53, 3}}) {
    Gate<double, Sampled> gate(one_group({{.5, .3, .1, .1}}), 1);
    gate.with_numbers({c.number}).run();
    double const g = gate.gates(0, 0, c.second);
    check_routes(gate.kept(), {{0, 0, 0, .5 / (.5 + g)}, {0, c.second, 0, g / (.5 + g)}});
  }
  // The first choice may be any expert, and is never drawn again; nor is one without any gate.
  for (double number : {0., .5, .999}) {
    Gate<double, Sampled> gate(one_group({{0, .2, .8, 0}}), 1);
    gate.with_numbers({number}).run();
    CHECK(gate.expert(0, 0, 0) == 2);
    CHECK(gate.expert(0, 0, 1) == 1);
  }
  Gate<double, Sampled> saturated(one_group({{0, 0, 1}}), 1);
  saturated.with_numbers({.7}).run();
  check_routes(saturated.kept(), {{0, 2, 0, 1}});

  constexpr std::size_t tokens = 4000;
  Gate<double, Sampled> many(one_group(std::vector<std::vector<double>>(tokens, {.5, .3, .1, .1})), tokens);
  many.chance = {.drawn = true, .seed = 1, .stream = 2};
  many.run();
  // 4000 draws: standard deviations 31, 25, 25.
  CHECK(many.choices(0, 0) == 4000);
  CHECK(std::abs(many.choices(0, 1) - 2400) < 4 * 31);
  CHECK(std::abs(many.choices(0, 2) - 800) < 4 * 25);
  CHECK(std::abs(many.choices(0, 3) - 800) < 4 * 25);
}

TEST_CASE("T25: a second choice that always goes is one whose number is 0; without chance, all policies are that") {
  auto const check = [](auto gate) { check_routes(gate.run().kept(), routes_of_g1); };
  check(Gate<double>(one_group(g1), 2));
  check(Gate<double>(one_group(g1), 2).with_numbers({0, 0, 0, 0}));
  check(Gate<double, Freed>(one_group(g1), 2));
  check(Gate<double, Sampled>(one_group(g1), 2));
  check(Gate<double, Always>(one_group(g1), 2).with_numbers({1, 1, 1, 1}));
}

// ---- Weights ----

TEST_CASE("T05: weights normalised over what was kept add up to 1") {
  auto const gate = Gate<double, AfterDrops>(one_group(g1), 2).run();
  check_routes(gate.kept(), {{0, 0, 0, .625},
                             {0, 1, 0, .375},
                             {1, 0, 1, 4 / 7.},
                             {1, 2, 0, 3 / 7.},
                             {2, 1, 1, 1},
                             {3, 3, 0, 4 / 7.},
                             {3, 2, 1, 3 / 7.}});
  check_near(gate.choices, {3, 2, 2, 1}, 0);
  CHECK(gate.balance_loss(0) * 16 == doctest::Approx(1.3875).epsilon(1e-14));
}

TEST_CASE("E11: weights before normalisation are the softmax itself, after it the softmax over the choices") {
  auto const raw = Gate<double, Raw>(gates_of({{2, 1, 0}}), 1).run();
  check_near(raw.weight, {.66524096, .24472847}, 1e-8);
  auto const normalised = Gate<double>(gates_of({{2, 1, 0}}), 1).run();
  check_near(normalised.weight, {.73105858, .26894142}, 1e-8);
}

// ---- One choice, many choices ----

TEST_CASE("SwitchGate: one choice, weighted by its gate") {
  auto const gate = Gate<double, SwitchGate>(one_group(g1), 2).run();
  check_routes(gate.kept(), {{0, 0, 0, .5}, {1, 0, 1, .4}, {3, 3, 0, .4}});
  check_near(gate.choices, {3, 0, 0, 1}, 0);
  CHECK(gate.balance_loss(0) * 16 == doctest::Approx(1.3875).epsilon(1e-14));
}

TEST_CASE("E1, E5: top-1 with C = ceil(5/4) = 2 keeps tokens 0 and 1 of five; with C = 1 one of three") {
  double const g = std::exp(1.) / (std::exp(1.) + 3);
  auto const five = Gate<double, SwitchGate>(gates_of(std::vector<std::vector<double>>(5, {1, 0, 0, 0})),
                                             std::size_t(expert_capacity(5, 4, 1.0)))
                        .run();
  check_routes(five.kept(), {{0, 0, 0, g}, {1, 0, 1, g}});
  check_near(five.weight, {g, g, 0, 0, 0}, 1e-15);
  auto const three = Gate<double, SwitchGate>(gates_of(std::vector<std::vector<double>>(3, {1, 0})), 1).run();
  check_routes(three.kept(), {{0, 0, 0, 1 / (1 + std::exp(-1.))}});
}

TEST_CASE(
    "TopKGate: choices in order of the gates, equal ones from the lowest expert; all first ones before any second, and so on") {
  auto const gate =
      Gate<double, TopKGate<3>>(one_group({{.1, .4, .1, .4}, {.3, .3, .3, .1}, {.05, .15, .5, .3}}), 2).run();
  check_routes(gate.kept(), {{0, 1, 0, .4 / .9},
                             {0, 3, 0, .4 / .9},
                             {0, 0, 1, .1 / .9},
                             {1, 0, 0, 1 / 3.},
                             {1, 1, 1, 1 / 3.},
                             {1, 2, 1, 1 / 3.},
                             {2, 2, 0, .5 / .95},
                             {2, 3, 1, .3 / .95}});
  check_near(gate.choices, {2, 3, 2, 2}, 0);
  // More choices than experts: what is beyond them is no choice.
  auto const few = Gate<double, TopKGate<3>>(one_group({{.3, .7}}), 1).run();
  check_near(few.expert, {1, 0, -1}, 0);
  check_near(few.slot, {0, 0, -1}, 0);
  check_near(few.weight, {.7, .3, 0}, 1e-15);
}

TEST_CASE("chance with three choices: the k-th goes with k times its weight, of even gates always") {
  Gate<double, Three> even(one_group({{.25, .25, .25, .25}}), 1);
  check_near(even.with_numbers({.666, .999}).run().slot, {0, 0, 0}, 0);
  Gate<double, Three> gate(one_group({{.5, .3, .2, 0}}), 1);
  check_near(gate.with_numbers({.59, .59}).run().slot, {0, 0, 0}, 0);
  check_near(gate.with_numbers({.61, .61}).run().slot, {0, -1, -1}, 0);
}

// ---- The balance loss ----

TEST_CASE("T13: the loss of G1 by the choices it counts") {
  auto const scaled = [](auto gate) { return gate.run().balance_loss(0); };
  CHECK(scaled(Gate<double>(one_group(g1), 2)) == doctest::Approx(.08671875).epsilon(1e-14));
  CHECK(scaled(Gate<double>(one_group(g1), 2)) * 16 == doctest::Approx(1.3875).epsilon(1e-14));
  CHECK(scaled(Gate<double, AllChoices>(one_group(g1), 2)) * 16 == doctest::Approx(2.2125).epsilon(1e-14));
  CHECK(scaled(Gate<double, MeanOfChoices>(one_group(g1), 2)) * 16 == doctest::Approx(1.10625).epsilon(1e-14));
}

// ---- Who is dropped ----

TEST_CASE("E14: an expert with two slots drops the last of three tokens, or the least probable") {
  std::vector<std::vector<double>> const rows = {{.5, .3, .2}, {.9, .05, .05}, {.7, .2, .1}};
  auto const by_position = Gate<double, SwitchGate>(one_group(rows), 2).run();
  check_routes(by_position.kept(), {{0, 0, 0, .5}, {1, 0, 1, .9}});
  auto const by_probability = Gate<double, ByProbability<SwitchGate>>(one_group(rows), 2).run();
  check_routes(by_probability.kept(), {{1, 0, 0, .9}, {2, 0, 1, .7}});
  CHECK(by_probability.choices(0, 0) == 3);
  CHECK(by_probability.kept_choices(0, 0) == 2);
}

TEST_CASE(
    "by probability, a likely second choice goes before an unlikely first one; equal gates go in the order of the tokens") {
  auto const gate =
      Gate<double, ByProbability<Always>>(one_group({{.36, .34, .3}, {.1, .5, .4}, {.35, .4, .25}}), 1).run();
  check_routes(gate.kept(), {{0, 0, 0, .36 / .7}, {1, 1, 0, .5 / .9}, {1, 2, 0, .4 / .9}});
  auto const even =
      Gate<double, ByProbability<SwitchGate>>(one_group(std::vector<std::vector<double>>(5, {.5, .5})), 3).run();
  check_routes(even.kept(), {{0, 0, 0, .5}, {1, 0, 1, .5}, {2, 0, 2, .5}});
}

TEST_CASE("T23: tokens are ranked by probability, so logits below zero lose nothing") {
  auto const gate =
      Gate<double, ByProbability<SwitchGate>>(gates_of({{-1, -2}, {-3, -1}, {-1, -4}, {-2, -1}}), 2).run();
  CHECK(gate.kept().size() == 4);
}

TEST_CASE("Dropless: every choice has a slot, in the order of choices, and there is no table of slots") {
  std::vector<std::vector<double>> const rows(4, {.25, .25, .25, .25});
  auto const gate = Gate<double, Dropless<Always>>(one_group(rows), 0).run();
  check_routes(gate.kept(), {{0, 0, 0, .5},
                             {0, 1, 0, .5},
                             {1, 0, 1, .5},
                             {1, 1, 1, .5},
                             {2, 0, 2, .5},
                             {2, 1, 2, .5},
                             {3, 0, 3, .5},
                             {3, 1, 3, .5}});
  check_near(gate.kept_choices, {4, 4, 0, 0}, 0);
  // What chance drops leaves no gap.
  Gate<double, Dropless<>> random(one_group(g1), 0);
  random.with_numbers({.9, .1, .6, .3}).run();
  check_routes(
      random.kept(),
      {{0, 0, 0, .625}, {1, 0, 1, 4 / 7.}, {1, 2, 0, 3 / 7.}, {2, 0, 2, .75}, {3, 3, 0, 4 / 7.}, {3, 2, 1, 3 / 7.}});
  check_near(random.kept_choices, {3, 0, 2, 1}, 0);
}

// ---- Experts choose ----

TEST_CASE("ExpertChoiceGate: each expert takes its two largest gates; a token may have all experts, or none") {
  auto const gate = Gate<double, ExpertChoiceGate<4>>(one_group(g1), 2).run();
  // Expert 0 takes tokens 2, 0; expert 1 tokens 0, 2 (.2, before token 3's .2); expert 2 tokens 1, 3 (equal); expert 3
  // tokens 3, 1.
  check_near(gate.token_of_slot, {2, 0, 0, 2, 1, 3, 3, 1}, 0);
  check_routes(gate.kept(), {{0, 0, 1, .5},
                             {0, 1, 0, .3},
                             {1, 2, 0, .3},
                             {1, 3, 1, .2},
                             {2, 0, 0, .6},
                             {2, 1, 1, .2},
                             {3, 3, 0, .4},
                             {3, 2, 1, .3}});
  check_near(gate.kept_choices, {2, 2, 2, 2}, 0);
  CHECK(gate.balance_loss(0) == 0);

  auto const lonely = Gate<double, ExpertChoiceGate<2>>(one_group({{.9, .1}, {.9, .1}, {.95, .05}}), 1).run();
  check_routes(lonely.kept(), {{0, 1, 0, .1}, {2, 0, 0, .95}});
  CHECK(lonely.expert(0, 1, 0) == -1);
}

TEST_CASE(
    "ExpertChoiceGate: a token stays with as many experts as the type says, and leaves the slots of the others empty") {
  auto const gate = Gate<double, ExpertChoiceGate<1>>(one_group(g1), 2).run();
  check_routes(gate.kept(), {{0, 0, 1, .5}, {1, 2, 0, .3}, {2, 0, 0, .6}, {3, 3, 0, .4}});
  check_near(gate.token_of_slot, {2, 0, -1, -1, 1, -1, 3, -1}, 0);
  check_near(gate.choices, {2, 2, 2, 2}, 0);
  check_near(gate.kept_choices, {2, 0, 1, 1}, 0);
}

TEST_CASE("ExpertChoiceGate: padding is never taken, and more slots than tokens stay empty") {
  Gate<double, ExpertChoiceGate<2>> gate(one_group({{.6, .4}, {.3, .7}, {.8, .2}}), 5);
  gate.gates(0, 2, 0) = gate.gates(0, 2, 1) = not_a_number;
  gate.with_real({1, 1, 0}).run();
  check_near(gate.token_of_slot, {0, 1, -1, -1, -1, 1, 0, -1, -1, -1}, 0);
  CHECK(gate.expert(0, 2, 0) == -1);
  CHECK(gate.tokens(0) == 2);
}

// ---- Padding, NaN and masked experts, for all gates ----

namespace {

struct SampledThree : TopKGate<3> {
  static constexpr auto second_choice = SecondChoice::sampled;
};
struct ProbableAfterDrops : ByProbability<Always> {
  static constexpr auto normalise = Normalise::after_drops;
  static constexpr auto balance_choices = BalanceChoices::mean_of_all;
};
template <int K>
struct ChoiceWithLoss : ExpertChoiceGate<K> {
  static constexpr auto balance_choices = BalanceChoices::all;
};

/// All that a gate computes of three tokens among padding, and its gradient, where `rubbish` is in the padding of gates
/// and of the weights' gradient.
template <class Policy>
std::vector<std::vector<double>> results_among_padding(double rubbish) {
  std::vector<std::vector<double>> rows(6, std::vector<double>(4, rubbish));
  rows[1] = g1[0];
  rows[2] = {.7, .3, 0, 0};  // two experts are masked
  rows[4] = g1[2];
  Gate<double, Policy> gate(one_group(rows), 2);
  gate.with_real({0, 1, 1, 0, 1, 0});
  gate.chance = {.drawn = true, .seed = 3, .stream = 9};
  gate.run();
  Cube<double> upstream("upstream", 1, 6, std::size_t(Policy::choices));
  for (std::size_t s = 0; s < 6; ++s)
    for (std::size_t k = 0; k < upstream.extent(2); ++k)
      upstream(0, s, k) = gate.slot(0, s, k) < 0 ? rubbish : double(s + 2 * k);
  std::vector<std::vector<double>> results;
  for (Vector<double> const& loss : {Vector<double>{}, vector_of<double>({1})}) {
    Cube<double> gradient("gradient", 1, 6, 4);
    nn::detail::gate_backward<Policy, double, Host>(gate.gates, gate.real, gate.routes(), gate.counts(), upstream, loss,
                                                    gradient);
    Kokkos::fence();
    results.push_back(values_of(gradient));
  }
  for (auto const& table : {gate.expert, gate.slot, gate.token_of_slot}) results.push_back(values_of(table));
  for (auto const& counts : {gate.first_choices, gate.choices, gate.kept_choices}) results.push_back(values_of(counts));
  results.push_back(values_of(gate.weight));
  results.push_back(values_of(gate.mean_gates));
  results.push_back(values_of(gate.balance_loss));
  results.push_back(values_of(gate.tokens));
  return results;
}

}  // namespace

TEST_CASE_TEMPLATE("padding and dropped choices of NaN change nothing", Policy, Top2Gate, SwitchGate, TopKGate<3>,
                   SampledThree, ByProbability<Always>, ProbableAfterDrops, Dropless<>, ExpertChoiceGate<1>,
                   ChoiceWithLoss<3>) {
  auto const right = results_among_padding<Policy>(.25);
  for (auto const& values : right)
    for (double value : values) CHECK(std::isfinite(value));
  CHECK(results_among_padding<Policy>(not_a_number) == right);
}

TEST_CASE("NaN ranks above all numbers, whatever the order of experts and tokens") {
  for (std::vector<double> const& gates : {std::vector<double>{.1, .2, not_a_number, .7},
                                           {not_a_number, .7, .2, .1},
                                           {.7, .1, .2, not_a_number},
                                           {.1, not_a_number, .7, .2}}) {
    auto const gate = Gate<double>(one_group({gates}), 1).run();
    CHECK(std::isnan(gates[std::size_t(gate.expert(0, 0, 0))]));
    CHECK(gates[std::size_t(gate.expert(0, 0, 1))] == .7);
  }
  // An expert of two slots takes the token of NaN and the largest gate, and the token keeps its NaN.
  std::vector<double> column{.3, not_a_number, .8, .5};
  for (int turn = 0; turn < 4; ++turn) {
    std::rotate(column.begin(), column.begin() + 1, column.end());
    std::vector<std::vector<double>> rows;
    for (double gate : column) rows.push_back({gate});
    auto const chosen = Gate<double, ExpertChoiceGate<1>>(one_group(rows), 2).run();
    auto const ranked = Gate<double, ByProbability<SwitchGate>>(one_group(rows), 2).run();
    for (auto const& table : {chosen.token_of_slot, ranked.token_of_slot}) {
      CHECK(std::isnan(column[std::size_t(table(0, 0, 0))]));
      CHECK(column[std::size_t(table(0, 0, 1))] == .8);
    }
    for (std::size_t s = 0; s < 4; ++s) {
      CHECK((chosen.slot(0, s, 0) >= 0) == !(column[s] < .8));
      CHECK(std::isnan(chosen.weight(0, s, 0)) == std::isnan(column[s]));
    }
  }
}

TEST_CASE("experts that choose take no token whose gate is 0: a masked expert takes none") {
  auto const gate = Gate<double, ExpertChoiceGate<2>>(one_group({{1, 0, 0}, {.4, 0, .6}, {.5, 0, .5}}), 2).run();
  check_near(gate.token_of_slot, {0, 2, -1, -1, 1, 2}, 0);
  check_near(gate.kept_choices, {2, 0, 2}, 0);
}
