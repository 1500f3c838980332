// SPDX-License-Identifier: Apache-2.0
// Algorithm 1 of the paper, by the figures of small groups. Variants: gating_variants.cpp; random groups against the
// sequential readings: gating_random.cpp.
#include <cmath>
#include <cstdint>
#include <vector>

#include "gating_test.hpp"

using namespace gshard;
using namespace gshard::test;
using namespace gshard::nn;

namespace {

std::vector<std::vector<double>> const t15 = [] {
  std::vector<std::vector<double>> logits(6, std::vector<double>(4));
  for (int s = 0; s < 6; ++s)
    for (int e = 0; e < 4; ++e) logits[std::size_t(s)][std::size_t(e)] = ((7 * s + 3 * e + 1) % 11) / 4.0;
  return logits;
}();

}  // namespace

// ---- Algorithm 1 ----

TEST_CASE("T04, T06: routes, counts, mean gates and loss of the group G1") {
  auto const gate = Gate<double>(one_group(g1), 2).run();
  check_routes(gate.kept(), routes_of_g1);
  check_near(gate.first_choices, {3, 0, 0, 1}, 0);
  check_near(gate.choices, {3, 2, 2, 1}, 0);
  check_near(gate.mean_gates, {.4, .2, .2125, .1875}, 1e-15);
  CHECK(gate.balance_loss(0) == doctest::Approx(.08671875).epsilon(1e-14));
  CHECK(gate.balance_loss(0) * 16 == doctest::Approx(1.3875).epsilon(1e-14));
  // The dropped first choice of token 2 keeps its expert, and neither slot nor weight.
  CHECK(gate.expert(0, 2, 0) == 0);
  CHECK(gate.slot(0, 2, 0) == -1);
  CHECK(gate.weight(0, 2, 0) == 0.0);
  check_near(gate.token_of_slot, {0, 1, 0, 2, 1, 3, 3, -1}, 0);
}

TEST_CASE("T07: G1 with given random numbers") {
  Gate<double> gate(one_group(g1), 2);
  gate.with_numbers({.9, .1, .6, .3});
  gate.run();
  check_routes(gate.kept(),
               {{0, 0, 0, .625}, {1, 0, 1, 4 / 7.}, {1, 2, 0, 3 / 7.}, {3, 3, 0, 4 / 7.}, {3, 2, 1, 3 / 7.}});
  check_near(gate.choices, {3, 2, 2, 1}, 0);
  // Token 0's second choice was dropped by chance, but has its slot in expert 1.
  check_near(gate.token_of_slot, {0, 1, -1, -1, 1, 3, 3, -1}, 0);
}

TEST_CASE("T08: a second choice dropped by chance uses up a slot (the paper's reading)") {
  auto const gates = one_group({{.6, .3, .1}, {.1, .35, .55}, {.2, .2, .6}});
  Gate<double> one(gates, 1);
  one.with_numbers({.95, .2, .99});
  one.run();
  check_routes(one.kept(), {{0, 0, 0, 2 / 3.}, {1, 2, 0, 11 / 18.}});
  check_near(one.choices, {2, 2, 2}, 0);
  CHECK(one.balance_loss(0) == doctest::Approx(.12592592592592591).epsilon(1e-14));

  Gate<double> two(gates, 2);
  two.with_numbers({.95, .2, .99});
  two.run();
  check_routes(two.kept(), {{0, 0, 0, 2 / 3.}, {1, 2, 0, 11 / 18.}, {1, 1, 1, 7 / 18.}, {2, 2, 1, .75}});
}

TEST_CASE("line 22 of Algorithm 1: the counter rises though the test fails, so of three only token 1 goes, to slot 1") {
  Gate<double> gate(one_group({{.80, .15, .03, .02}, {.60, .35, .03, .02}, {.55, .40, .03, .02}}), 2);
  gate.with_numbers({.9, .1, .1});
  gate.run();
  check_routes(gate.kept(), {{0, 0, 0, 16 / 19.}, {1, 0, 1, 12 / 19.}, {1, 1, 1, 7 / 19.}});
}

TEST_CASE("T09: equal gates go to the lowest experts") {
  auto const gate = Gate<double>(one_group(std::vector<std::vector<double>>(4, {.25, .25, .25, .25})), 2).run();
  check_routes(gate.kept(), {{0, 0, 0, .5}, {0, 1, 0, .5}, {1, 0, 1, .5}, {1, 1, 1, .5}});
  check_near(gate.first_choices, {4, 0, 0, 0}, 0);
  check_near(gate.choices, {4, 4, 0, 0}, 0);
  CHECK(gate.balance_loss(0) == .0625);
}

TEST_CASE("ties anywhere in the row: the first of the largest, then the first of the next largest") {
  struct Case {
    std::vector<double> gates;
    int first, second;
  };
  Case const cases[] = {{{.3, .5, .3}, 1, 0},     {{.1, .3, .5, .3}, 2, 1}, {{.2, .2, .6}, 2, 0}, {{.4, .1, .4}, 0, 2},
                        {{.1, .1, .1, .7}, 3, 0}, {{.1, .2, .2, .5}, 3, 1}, {{.5, .5}, 0, 1}};
  for (Case const& c : cases) {
    auto const gate = Gate<double>(one_group({c.gates}), 1).run();
    CHECK(gate.expert(0, 0, 0) == c.first);
    CHECK(gate.expert(0, 0, 1) == c.second);
  }
}

TEST_CASE("T10: all first choices come before any second one") {
  auto const gate = Gate<double>(one_group({{.6, .4}, {.3, .7}}), 1).run();
  check_routes(gate.kept(), {{0, 0, 0, .6}, {1, 1, 0, .7}});
  CHECK(gate.balance_loss(0) == doctest::Approx(.25).epsilon(1e-14));
}

TEST_CASE("T11: padding is neither routed nor counted, and the means are over the real tokens") {
  Gate<double> gate(one_group(g1), 2);
  for (int e = 0; e < 4; ++e) gate.gates(0, 2, e) = not_a_number;
  gate.with_real({1, 1, 0, 1});
  gate.run();
  check_routes(
      gate.kept(),
      {{0, 0, 0, .625}, {0, 1, 0, .375}, {1, 0, 1, 4 / 7.}, {1, 2, 0, 3 / 7.}, {3, 3, 0, 4 / 7.}, {3, 2, 1, 3 / 7.}});
  CHECK(gate.expert(0, 2, 0) == -1);
  CHECK(gate.expert(0, 2, 1) == -1);
  check_near(gate.first_choices, {2, 0, 0, 1}, 0);
  check_near(gate.mean_gates, {1 / 3., .2, .7 / 3, .7 / 3}, 1e-15);
  CHECK(gate.balance_loss(0) * 16 == doctest::Approx(1.2).epsilon(1e-14));
}

TEST_CASE("E7: padding takes no slot from real tokens") {
  Gate<double> gate(one_group({{.6, .3, .1}, {.6, .3, .1}, {.6, .3, .1}, {.5, .4, .1}}), 1);
  gate.with_real({0, 0, 1, 1});
  gate.run();
  check_routes(gate.kept(), {{2, 0, 0, 2 / 3.}, {2, 1, 0, 1 / 3.}});
}

TEST_CASE("T12: the loss is 1/E^2 for a balanced group of sure gates, and 1/E for a collapsed one") {
  std::vector<std::vector<double>> balanced(8, std::vector<double>(4)), collapsed = balanced;
  for (std::size_t s = 0; s < 8; ++s) balanced[s][s % 4] = collapsed[s][0] = 1;
  CHECK(Gate<double>(one_group(balanced), 4).run().balance_loss(0) == .0625);
  CHECK(Gate<double>(one_group(collapsed), 4).run().balance_loss(0) == .25);
}

TEST_CASE("T15: gates from logits, at three capacities") {
  double const a = .679178699175393, b = 1 - a, p = .6224593312018546, q = 1 - p;
  std::vector<Route> const right[] = {
      {{0, 3, 0, a}, {1, 0, 0, p}, {2, 2, 0, a}, {4, 1, 0, a}},
      {{0, 3, 0, a}, {1, 0, 0, p}, {2, 2, 0, a}, {2, 1, 1, b}, {3, 3, 1, a}, {4, 1, 0, a}, {4, 0, 1, b}, {5, 2, 1, a}},
      {{0, 3, 0, a},
       {0, 2, 2, b},
       {1, 0, 0, p},
       {1, 3, 2, q},
       {2, 2, 0, a},
       {2, 1, 1, b},
       {3, 3, 1, a},
       {4, 1, 0, a},
       {4, 0, 1, b},
       {5, 2, 1, a},
       {5, 1, 2, b}},
  };
  for (std::size_t capacity : {1u, 2u, 3u}) {
    auto const gate = Gate<double>(gates_of(t15), capacity).run();
    check_routes(gate.kept(), right[capacity - 1]);
    check_near(gate.first_choices, {1, 1, 2, 2}, 0);
    check_near(gate.choices, {2, 3, 4, 3}, 0);
    check_near(gate.mean_gates, {.183863356841, .226409790437, .304947636415, .284779216308}, 1e-12);
    CHECK(gate.balance_loss(0) == doctest::Approx(.0662386188634422).epsilon(1e-13));
    CHECK(gate.balance_loss(0) * 16 == doctest::Approx(1.0598179018150753).epsilon(1e-13));
    // The same in float, but for rounding.
    auto const single = Gate<float>(gates_of<float>(t15), capacity).run();
    check_routes(single.kept(), right[capacity - 1], 1e-6);
    CHECK(single.balance_loss(0) == doctest::Approx(.0662386188634422).epsilon(1e-6));
  }
}

TEST_CASE(
    "T17, T18, E11: the first weight is the sigmoid of the two logits' difference; the second goes with twice its own weight") {
  struct Case {
    double gap, first, chance;
  };
  Case const cases[] = {{0, .5, 1},
                        {.5, .6224593312018546, .7550813375962908},
                        {1, .7310585786300049, .5378828427399902},
                        {2, .8807970779778823, .2384058440442351}};
  for (Case const& c : cases) {
    Gate<double> gate(gates_of({{c.gap + .5, -3, .5, -4}}), 1);
    CHECK(gate.run().weight(0, 0, 0) == doctest::Approx(c.first).epsilon(1e-13));
    for (double offset : {-1e-9, 1e-9}) {
      gate.with_numbers({c.chance + offset});
      CHECK(gate.run().slot(0, 0, 1) == (offset < 0 ? 0 : -1));
    }
  }
  // A random number is below 1, so a second weight of 1/2 always goes.
  Gate<double> even(gates_of({{0, 0}}), 1);
  even.with_numbers({1 - 0x1p-53});
  CHECK(even.run().slot(0, 0, 1) == 0);
}

TEST_CASE("T19: a second choice without weight is not sent, but has its slot") {
  auto const gate = Gate<double>(one_group({{0, 0, 1}, {.3, .6, .1}}), 1).run();
  check_routes(gate.kept(), {{0, 2, 0, 1}, {1, 1, 0, 2 / 3.}});
  check_near(gate.choices, {2, 1, 1}, 0);
}

TEST_CASE("T21: the loss is each group's own; over groups it is the mean") {
  Cube<double> gates("gates", 2, 4, 4);
  for (int s = 0; s < 4; ++s)
    for (int e = 0; e < 4; ++e) {
      gates(0, s, e) = g1[std::size_t(s)][std::size_t(e)];
      gates(1, s, e) = .25;
    }
  auto const gate = Gate<double>(gates, 2).run();
  check_near(gate.balance_loss, {1.3875 / 16, 1.0 / 16}, 1e-15);
  CHECK((gate.balance_loss(0) + gate.balance_loss(1)) / 2 * 16 == doctest::Approx(1.19375));
}

// ---- what others got wrong ----

TEST_CASE("E1, E5: capacity holds for every token past it") {
  Gate<double> gate(gates_of(std::vector<std::vector<double>>(5, {1, 0, 0, 0})),
                    std::size_t(expert_capacity(5, 4, 1.0)));
  gate.with_numbers({1, 1, 1, 1, 1});
  gate.run();
  double const weight = 1 / (1 + std::exp(-1.0));
  check_routes(gate.kept(), {{0, 0, 0, weight}, {1, 0, 1, weight}});

  Gate<double> tight(gates_of(std::vector<std::vector<double>>(3, {1, 0})), 1);
  tight.with_numbers({1, 1, 1});
  tight.run();
  check_routes(tight.kept(), {{0, 0, 0, weight}});
}

TEST_CASE("E2: more slots than tokens") {
  std::vector<std::vector<double>> const rows = {{.6, .4}, {.3, .7}, {.8, .2}, {.1, .9}};
  auto const wide = Gate<double>(one_group(rows), std::size_t(expert_capacity(4, 2, 4.0))).run();
  CHECK(wide.token_of_slot.extent(2) == 8);
  auto const capped = Gate<double>(one_group(rows), 4).run();
  check_routes(wide.kept(), capped.kept());
  CHECK(wide.kept().size() == 8);
  for (std::size_t e = 0; e < 2; ++e)
    for (std::size_t c = 4; c < 8; ++c) CHECK(wide.token_of_slot(e, 0, c) == -1);
}

TEST_CASE("E4: the loss counts first choices alone, the load both") {
  auto const gate = Gate<double>(one_group({{.6, .3, .1}, {.5, .4, .1}, {.7, .2, .1}, {.1, .6, .3}}), 4).run();
  check_near(gate.first_choices, {3, 1, 0}, 0);
  check_near(gate.choices, {3, 4, 1}, 0);
  check_near(gate.mean_gates, {.475, .375, .15}, 1e-15);
  CHECK(gate.balance_loss(0) == doctest::Approx(.15));
  CHECK(gate.balance_loss(0) * 9 == doctest::Approx(1.35));
}

TEST_CASE("E9: the loss reaches the router's logits") {
  Gate<double> gate(gates_of({{1, 0}, {1, 0}}), 2);
  gate.run();
  CHECK(gate.balance_loss(0) * 4 == doctest::Approx(1.46212).epsilon(1e-5));
  check_near(gate.gradient({}, vector_of<double>({4})), {.196612, -.196612, .196612, -.196612}, 1e-6);
}

TEST_CASE("E12: in float the larger of two close logits wins") {
  auto const gate = Gate<float>(gates_of<float>({{0, .002, -3}}), 1).run();
  CHECK(gate.expert(0, 0, 0) == 1);
  check_near(gate.gates, {.48738, .48836, .024265}, 1e-4);
}

TEST_CASE("E13: capacity is each group's own") {
  Cube<double> gates("gates", 2, 2, 2);
  for (int i = 0; i < 4; ++i) {
    gates.data()[2 * i] = .9;
    gates.data()[2 * i + 1] = .1;
  }
  Gate<double> gate(gates, std::size_t(expert_capacity(2, 2, 1.0)));
  gate.with_numbers({1, 1, 1, 1});
  gate.run();
  check_routes(gate.kept(0), {{0, 0, 0, .9}});
  check_routes(gate.kept(1), {{0, 0, 0, .9}});
}

TEST_CASE("one expert takes the first choices alone, with weight 1") {
  auto const gate = Gate<double>(one_group({{1}, {1}, {1}}), 2).run();
  check_routes(gate.kept(), {{0, 0, 0, 1}, {1, 0, 1, 1}});
  CHECK(gate.balance_loss(0) == 1.0);
}

TEST_CASE("no groups, no tokens, no slots, and padding alone") {
  Gate<double>(Cube<double>("gates", 0, 4, 3), 2).run();
  auto const empty = Gate<double>(Cube<double>("gates", 2, 0, 3), 2).run();
  CHECK(empty.balance_loss(0) == 0.0);
  check_near(empty.token_of_slot, std::vector<double>(12, -1), 0);
  check_near(empty.choices, std::vector<double>(6, 0), 0);
  auto const full = Gate<double>(one_group(g1), 0).run();
  CHECK(full.kept().empty());
  check_near(full.choices, {3, 2, 2, 1}, 0);
  Gate<double> padding(one_group(g1), 2);
  padding.real = Matrix<int>("real", 1, 4);
  padding.run();
  CHECK(padding.kept().empty());
  CHECK(padding.balance_loss(0) == 0.0);
  check_near(padding.mean_gates, {0, 0, 0, 0}, 0);
}

// ---- chance ----

TEST_CASE(
    "the random policy sends second choices twice their weight often, the same ones however groups are spread over ranks") {
  constexpr std::size_t groups = 8, tokens = 500;
  Cube<double> gates("gates", groups, tokens, 3);
  for (std::size_t i = 0; i < groups * tokens; ++i) {
    gates.data()[3 * i] = .6;
    gates.data()[3 * i + 1] = .2;
    gates.data()[3 * i + 2] = .1;
  }
  Gate<double> whole(gates, tokens);
  whole.chance = {.drawn = true, .seed = 3, .stream = 9};
  whole.run();
  double sent = 0;
  for (double place : values_of(whole.slot)) sent += place >= 0;
  sent -= groups * tokens;
  // 4000 draws at 2 * .2/.8: mean 2000, standard deviation 32.
  CHECK(std::abs(sent - 2000) < 4 * 32);

  for (std::size_t first = 0; first < groups; first += 2) {
    Cube<double> part("part", 2, tokens, 3);
    std::copy_n(gates.data() + first * tokens * 3, part.size(), part.data());
    Gate<double> gate(part, tokens);
    gate.chance = whole.chance;
    gate.chance.first_token = first * tokens;
    gate.run();
    for (std::size_t i = 0; i < gate.slot.size(); ++i)
      REQUIRE(gate.slot.data()[i] == whole.slot.data()[first * tokens * 2 + i]);
  }
  Gate<double> other(gates, tokens);
  other.chance = whole.chance;
  other.chance.stream = 10;
  other.run();
  CHECK(values_of(other.slot) != values_of(whole.slot));
}

// ---- gradients ----

TEST_CASE("T14: the gradient of the paper's loss with respect to the logits") {
  auto const gate = Gate<double>(one_group(g1), 2).run();
  check_near(gate.gradient({}, vector_of<double>({1})),
             {.0109375, -.0075, -.0025, -.0009375, .01, -.0021875, -.0065625, -.00125, .01078125, -.00578125,
              -.0043359375, -.0006640625, .00359375, -.0021875, -.00328125, .001875},
             1e-15);
}
