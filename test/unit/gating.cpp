// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <gshard/nn/kernels/capacity.hpp>
#include <gshard/nn/kernels/gate.hpp>
#include <gshard/nn/kernels/gate_backward.hpp>
#include <gshard/nn/kernels/softmax.hpp>

#include "kernel_test.hpp"

using namespace gshard;
using namespace gshard::test;
using namespace gshard::nn;
using namespace gshard::nn::detail;
using Execution = Host::execution_space;

namespace {


/// One kept choice: token s goes to (expert, slot) with this weight.
struct Route {
  int token, expert, slot;
  double weight;
};

/// A gate's inputs and outputs, for G groups of S tokens, E experts and C slots.
template <class T>
struct Gate {
  Cube<T> gates;
  Matrix<int> real{};
  Matrix<T> numbers{};
  SecondChoice<T, Host> second{.policy = SecondChoicePolicy::always};
  Cube<int> expert, slot, token_of_slot;
  Cube<T> weight;
  Matrix<int> first_choices, choices;
  Matrix<T> mean_gates;
  Vector<T> balance_loss;

  Gate(Cube<T> gate_values, std::size_t capacity)
      : gates(gate_values),
        expert("expert", gates.extent(0), gates.extent(1), 2),
        slot("slot", gates.extent(0), gates.extent(1), 2),
        token_of_slot("token_of_slot", gates.extent(2), gates.extent(0), capacity),
        weight("weight", gates.extent(0), gates.extent(1), 2),
        first_choices("first_choices", gates.extent(0), gates.extent(2)),
        choices("choices", gates.extent(0), gates.extent(2)),
        mean_gates("mean_gates", gates.extent(0), gates.extent(2)),
        balance_loss("balance_loss", gates.extent(0)) {}

  Routes<T, Host> routes() const { return {expert, slot, weight, token_of_slot}; }
  GateStatistics<T, Host> statistics() const { return {first_choices, choices, mean_gates, balance_loss}; }

  /// Gives the random policy these numbers, for all tokens of all groups.
  Gate& with_numbers(std::vector<double> const& values) {
    numbers = filled(Matrix<T>("numbers", gates.extent(0), gates.extent(1)), values);
    second = {.policy = SecondChoicePolicy::random, .numbers = numbers};
    return *this;
  }

  Gate& run() {
    top2_gate<T, Host>(gates, real, second, routes(), statistics());
    Kokkos::fence();
    return *this;
  }

  /// The kept choices of one group, token after token, the first choice before the second.
  std::vector<Route> kept(std::size_t group = 0) const {
    std::vector<Route> result;
    for (std::size_t s = 0; s < gates.extent(1); ++s)
      for (std::size_t k = 0; k < 2; ++k)
        if (slot(group, s, k) >= 0)
          result.push_back({int(s), expert(group, s, k), slot(group, s, k), double(weight(group, s, k))});
    return result;
  }
};

Cube<double> one_group(std::vector<std::vector<double>> const& rows) {
  std::vector<double> values;
  for (auto const& row : rows) values.insert(values.end(), row.begin(), row.end());
  return filled(Cube<double>("gates", 1, rows.size(), rows[0].size()), values);
}

/// The gates of logits, by the softmax kernel.
template <class T = double>
Cube<T> gates_of(std::vector<std::vector<double>> const& logits) {
  auto const rows = matrix_of<T>(logits);
  softmax<T, Host>(rows, rows);
  Kokkos::fence();
  return filled(Cube<T>("gates", 1, rows.extent(0), rows.extent(1)), values_of(rows));
}

void check_routes(std::vector<Route> const& routes, std::vector<Route> const& right, double tolerance = 1e-12) {
  REQUIRE(routes.size() == right.size());
  for (std::size_t i = 0; i < routes.size(); ++i) {
    CAPTURE(i);
    CHECK(routes[i].token == right[i].token);
    CHECK(routes[i].expert == right[i].expert);
    CHECK(routes[i].slot == right[i].slot);
    CHECK(std::abs(routes[i].weight - right[i].weight) <= tolerance);
  }
}

std::vector<std::vector<double>> const g1 = {{.5, .3, .1, .1}, {.4, .1, .3, .2}, {.6, .2, .15, .05}, {.1, .2, .3, .4}};

std::vector<std::vector<double>> const t15 = [] {
  std::vector<std::vector<double>> logits(6, std::vector<double>(4));
  for (int s = 0; s < 6; ++s)
    for (int e = 0; e < 4; ++e) logits[std::size_t(s)][std::size_t(e)] = ((7 * s + 3 * e + 1) % 11) / 4.0;
  return logits;
}();

}  // namespace

// ---- capacity ----

TEST_CASE("capacity: T01's column 2S/E, rounded up") {
  struct Case {
    std::int64_t tokens, experts, right;
  };
  Case const cases[] = {{1024, 512, 4}, {1024, 2048, 1}, {2048, 2048, 2}, {1024, 128, 16}, {100, 8, 25},
                        {100, 16, 13},  {10, 4, 5},      {7, 3, 5},       {6, 4, 3},       {1000, 16, 125}};
  for (Case const& c : cases) CHECK(expert_capacity(c.tokens, c.experts) == c.right);
}

TEST_CASE("capacity: other factors (E1, E17), a minimum, factors that are no binary fractions, no tokens") {
  CHECK(expert_capacity(5, 4, 1.0) == 2);
  CHECK(expert_capacity(128, 5, 1.2) == 31);
  CHECK(expert_capacity(7, 4, 2.5) == 5);
  CHECK(expert_capacity(1024, 2048, 2.0, 4) == 4);
  CHECK(expert_capacity(10, 1, 1.1) == 11);
  CHECK(expert_capacity(0, 8) == 1);
  CHECK(expert_capacity(0, 8, 2.0, 0) == 0);
}

// ---- Algorithm 1 ----

TEST_CASE("T04: routes, counts, mean gates and loss of the group G1") {
  auto const gate = Gate<double>(one_group(g1), 2).run();
  check_routes(gate.kept(), {{0, 0, 0, .625},
                             {0, 1, 0, .375},
                             {1, 0, 1, 4 / 7.},
                             {1, 2, 0, 3 / 7.},
                             {2, 1, 1, .25},
                             {3, 3, 0, 4 / 7.},
                             {3, 2, 1, 3 / 7.}});
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
  check_routes(gate.kept(), {{0, 0, 0, .625}, {1, 0, 1, 4 / 7.}, {1, 2, 0, 3 / 7.}, {3, 3, 0, 4 / 7.}, {3, 2, 1, 3 / 7.}});
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
  gate.real = filled(Matrix<int>("real", 1, 4), {1, 1, 0, 1});
  gate.run();
  check_routes(gate.kept(), {{0, 0, 0, .625}, {0, 1, 0, .375}, {1, 0, 1, 4 / 7.}, {1, 2, 0, 3 / 7.}, {3, 3, 0, 4 / 7.}, {3, 2, 1, 3 / 7.}});
  CHECK(gate.expert(0, 2, 0) == -1);
  CHECK(gate.expert(0, 2, 1) == -1);
  check_near(gate.first_choices, {2, 0, 0, 1}, 0);
  check_near(gate.mean_gates, {1 / 3., .2, .7 / 3, .7 / 3}, 1e-15);
  CHECK(gate.balance_loss(0) * 16 == doctest::Approx(1.2).epsilon(1e-14));
}

TEST_CASE("E7: padding takes no slot from real tokens") {
  Gate<double> gate(one_group({{.6, .3, .1}, {.6, .3, .1}, {.6, .3, .1}, {.5, .4, .1}}), 1);
  gate.real = filled(Matrix<int>("real", 1, 4), {0, 0, 1, 1});
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
      {{0, 3, 0, a}, {0, 2, 2, b}, {1, 0, 0, p}, {1, 3, 2, q}, {2, 2, 0, a}, {2, 1, 1, b}, {3, 3, 1, a}, {4, 1, 0, a}, {4, 0, 1, b},
       {5, 2, 1, a}, {5, 1, 2, b}},
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

TEST_CASE("T17, T18, E11: the first weight is the sigmoid of the two logits' difference; the second goes with twice its own weight") {
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
  Gate<double> gate(gates_of(std::vector<std::vector<double>>(5, {1, 0, 0, 0})), std::size_t(expert_capacity(5, 4, 1.0)));
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
  Cube<double> gradient("gradient", 1, 2, 2);
  top2_gate_backward<double, Host>(gate.gates, gate.expert, gate.slot, gate.first_choices, Cube<double>("none", 1, 2, 2),
                                   vector_of<double>({4}), gradient);
  Rank2<double, Host> const gates(gate.gates.data(), 2, 2), logits(gradient.data(), 2, 2);
  softmax_backward<double, Host>(gates, logits, logits);
  Kokkos::fence();
  check_near(gradient, {.196612, -.196612, .196612, -.196612}, 1e-6);
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

TEST_CASE("the random policy sends second choices twice their weight often, the same ones however groups are spread over ranks") {
  constexpr std::size_t groups = 8, tokens = 500;
  Cube<double> gates("gates", groups, tokens, 3);
  for (std::size_t i = 0; i < groups * tokens; ++i) {
    gates.data()[3 * i] = .6;
    gates.data()[3 * i + 1] = .2;
    gates.data()[3 * i + 2] = .1;
  }
  Gate<double> whole(gates, tokens);
  whole.second = {.policy = SecondChoicePolicy::random, .seed = 3, .stream = 9};
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
    gate.second = whole.second;
    gate.second.first_token = first * tokens;
    gate.run();
    for (std::size_t i = 0; i < gate.slot.size(); ++i) REQUIRE(gate.slot.data()[i] == whole.slot.data()[first * tokens * 2 + i]);
  }
  Gate<double> other(gates, tokens);
  other.second = whole.second;
  other.second.stream = 10;
  other.run();
  CHECK(values_of(other.slot) != values_of(whole.slot));
}

// ---- properties (T24) ----

TEST_CASE("T24: 2000 random groups agree with Algorithm 1 written out, and hold its properties") {
  std::uint64_t counter = 0;
  auto const draw = [&counter](int bound) { return int(random_uniform<double>(24, 0, counter++) * bound); };
  for (int round = 0; round < 2000; ++round) {
    int const tokens = 1 + draw(19), experts = 2 + draw(7), capacity = 1 + draw(7);
    bool const chance = round % 2 == 1;
    Cube<double> gates("gates", 1, std::size_t(tokens), std::size_t(experts));
    Matrix<double> numbers("numbers", 1, std::size_t(tokens));
    Matrix<int> real("real", 1, std::size_t(tokens));
    drawn(numbers, std::uint64_t(round) + 50000);
    for (int s = 0; s < tokens; ++s) {
      double sum = 0;
      // Coarse values, so that ties are common.
      for (int e = 0; e < experts; ++e) sum += gates(0, s, e) = 1 + draw(6);
      for (int e = 0; e < experts; ++e) gates(0, s, e) /= sum;
      numbers(0, s) = std::abs(numbers(0, s));
      real(0, s) = draw(8) != 0;
    }
    Gate<double> gate(gates, std::size_t(capacity));
    gate.real = real;
    if (chance) gate.second = {.policy = SecondChoicePolicy::random, .numbers = numbers};
    gate.run();

    // Algorithm 1, in the order of its lines.
    auto const size = std::size_t(experts);
    std::vector<int> count(size), expert(2 * std::size_t(tokens), -1);
    std::vector<Route> right;
    std::vector<double> mean(size);
    int real_tokens = 0;
    for (int s = 0; s < tokens; ++s) {
      if (!real(0, s)) continue;
      ++real_tokens;
      int first = 0;
      for (int e = 0; e < experts; ++e) {
        mean[std::size_t(e)] += gates(0, s, e);
        if (gates(0, s, e) > gates(0, s, first)) first = e;
      }
      int second = first == 0 ? 1 : 0;
      for (int e = 0; e < experts; ++e)
        if (e != first && gates(0, s, e) > gates(0, s, second)) second = e;
      expert[2 * std::size_t(s)] = first;
      expert[2 * std::size_t(s) + 1] = second;
      double const weight = gates(0, s, first) / (gates(0, s, first) + gates(0, s, second));
      int const position = count[std::size_t(first)]++;
      if (position < capacity) right.push_back({s, first, position, weight});
    }
    double loss = 0;
    for (std::size_t e = 0; e < size; ++e)
      if (real_tokens > 0) loss += double(count[e]) / real_tokens * mean[e] / real_tokens / experts;
    std::vector<int> const first_count = count;
    for (int s = 0; s < tokens; ++s) {
      int const first = expert[2 * std::size_t(s)], second = expert[2 * std::size_t(s) + 1];
      if (first < 0) continue;
      double const weight = gates(0, s, second) / (gates(0, s, first) + gates(0, s, second));
      int const position = count[std::size_t(second)]++;
      if (position < capacity && (!chance || 2 * weight > numbers(0, s))) right.push_back({s, second, position, weight});
    }
    std::stable_sort(right.begin(), right.end(), [](Route const& a, Route const& b) { return a.token < b.token; });
    check_routes(gate.kept(), right);
    CHECK(gate.balance_loss(0) == doctest::Approx(loss).epsilon(1e-12));
    for (std::size_t e = 0; e < size; ++e) {
      CHECK(gate.first_choices(0, e) == first_count[e]);
      CHECK(gate.choices(0, e) == count[e]);
    }

    // The inverse map holds the kept choices and nothing else; first choices fill an expert's slots in the order of the tokens.
    std::vector<double> inverse(size * std::size_t(capacity), -1);
    for (Route const& route : right) inverse[std::size_t(route.expert * capacity + route.slot)] = route.token;
    check_near(gate.token_of_slot, inverse, 0);
    for (std::size_t e = 0; e < size; ++e)
      for (int c = 1; c < std::min(capacity, first_count[e]); ++c) CHECK(gate.token_of_slot(e, 0, c) > gate.token_of_slot(e, 0, c - 1));

    // Slots given out expert by expert, as on accelerators.
    Gate<double> by_expert(gates, std::size_t(capacity));
    Kokkos::parallel_for(Kokkos::RangePolicy<Execution>(0, tokens),
                         GateChoices<double, Host>{gates, real, gate.second, by_expert.routes()});
    Kokkos::parallel_for(Kokkos::RangePolicy<Execution>(0, experts),
                         GateSlotsByExpert<double, Host>{by_expert.routes(), by_expert.statistics()});
    Kokkos::fence();
    check_routes(by_expert.kept(), right);
    check_near(by_expert.token_of_slot, inverse, 0);
    check_near(by_expert.first_choices, values_of(gate.first_choices), 0);
    check_near(by_expert.choices, values_of(gate.choices), 0);
    check_near(by_expert.weight, values_of(gate.weight), 0);
  }
}

// ---- gradients ----

TEST_CASE("T14: the gradient of the paper's loss with respect to the logits") {
  auto const gate = Gate<double>(one_group(g1), 2).run();
  Cube<double> gradient("gradient", 1, 4, 4);
  top2_gate_backward<double, Host>(gate.gates, gate.expert, gate.slot, gate.first_choices, Cube<double>("none", 1, 4, 2),
                                   vector_of<double>({1}), gradient);
  Rank2<double, Host> const gates(gate.gates.data(), 4, 4), logits(gradient.data(), 4, 4);
  softmax_backward<double, Host>(gates, logits, logits);
  Kokkos::fence();
  check_near(gradient, {.0109375,  -.0075,     -.0025,       -.0009375,      .01,       -.0021875, -.0065625, -.00125,
                        .01078125, -.00578125, -.0043359375, -.0006640625, .00359375, -.0021875, -.00328125, .001875},
             1e-15);
}

TEST_CASE("gate gradient against central differences: weights and loss, with drops of both kinds and padding") {
  struct Case {
    std::size_t capacity;
    bool with_loss;
  };
  for (Case const c : {Case{1, true}, Case{3, true}, Case{9, true}, Case{3, false}}) {
    constexpr std::size_t groups = 2, tokens = 9, experts = 5;
    Cube<double> logits("logits", groups, tokens, experts), gates("gates", groups, tokens, experts);
    drawn(logits, 21);
    Gate<double> gate(gates, c.capacity);
    gate.real = Matrix<int>("real", groups, tokens);
    Kokkos::deep_copy(gate.real, 1);
    gate.real(0, 3) = gate.real(1, 0) = 0;
    gate.second = {.policy = SecondChoicePolicy::random, .seed = 5};
    Rank2<double, Host> const rows(gates.data(), groups * tokens, experts);
    Rank2<double const, Host> const logit_rows(logits.data(), groups * tokens, experts);
    auto const weight_upstream = drawn(Cube<double>("weight_upstream", groups, tokens, 2), 22);
    auto const loss_upstream = c.with_loss ? vector_of<double>({3, -2}) : Vector<double>();
    auto const loss = [&] {
      softmax<double, Host>(logit_rows, rows);
      gate.run();
      return dot(gate.weight, weight_upstream) + (c.with_loss ? dot(gate.balance_loss, loss_upstream) : 0);
    };
    loss();
    // What stands where a choice was dropped must not matter.
    for (std::size_t i = 0; i < gate.slot.size(); ++i)
      if (gate.slot.data()[i] < 0) weight_upstream.data()[i] = not_a_number;
    Cube<double> gradient("gradient", groups, tokens, experts);
    Kokkos::deep_copy(gradient, not_a_number);
    top2_gate_backward<double, Host>(gates, gate.expert, gate.slot, gate.first_choices, weight_upstream, loss_upstream, gradient);
    Rank2<double, Host> const gradient_rows(gradient.data(), groups * tokens, experts);
    softmax_backward<double, Host>(rows, gradient_rows, gradient_rows);
    Kokkos::fence();
    for (std::size_t i = 0; i < gate.slot.size(); ++i)
      if (gate.slot.data()[i] < 0) weight_upstream.data()[i] = 0;
    CHECK(gradient_error(logits, gradient, loss) < 1e-9);
  }
}
