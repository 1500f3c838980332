// SPDX-License-Identifier: Apache-2.0
// Gates of groups that are spread over ranks: losses over all groups, their gradients, and statistics, the same on
// every mesh.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gshard/reduce/softmax.hpp>
#include <gshard/nn/moe/gate_statistics.hpp>
#include <gshard/nn/moe/gate_z_loss.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class T>
using GatesOf = ShardedTensor<Grid, Spec<"data,expert", _, _>, T>;
using Gates = GatesOf<double>;
using Mask = Integers<Spec<"data,expert", _>>;

struct InThePapersScale : nn::Top2Gate {
  static constexpr auto balance_scale = nn::BalanceScale::paper;
};
struct Sampled3 : nn::TopKGate<3> {
  static constexpr auto second_choice = nn::SecondChoice::sampled;
};

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Values const g1 = {.5, .3, .1, .1, .4, .1, .3, .2, .6, .2, .15, .05, .1, .2, .3, .4};

Mask mask_of(Grid const& grid, std::int64_t groups, std::int64_t tokens, std::vector<int> const& padding = {}) {
  std::vector<int> real(static_cast<std::size_t>(groups * tokens), 1);
  for (int place : padding) real[static_cast<std::size_t>(place)] = 0;
  return integers<Spec<"data,expert", _>>(grid, {groups, tokens}, real);
}

template <class Gate = nn::Top2Gate>
nn::Routing<Gates, Gate> routing_of(Gates const& gates, Mask const& real, double factor = 2) {
  nn::GateOptions options;
  options.inference_capacity_factor = factor;
  return nn::Routing<Gates, Gate>(gates, real, options, {});
}

}  // namespace

// ---- The balance loss over groups ----

TEST_CASE("T21: the loss is the mean over groups, 1 when even, or in the paper's scale") {
  on_every_grid([](Grid const& grid) {
    Values both = g1;
    both.resize(32, .25);
    auto const gates = tensor_of<Gates>(grid, {{2, 4, 4}, both});
    auto const real = mask_of(grid, 2, 4);
    CHECK(difference(nn::balance_loss(gates, routing_of(gates, real)), {1.19375}, 1e-14) == "");
    CHECK(difference(nn::balance_loss(gates, routing_of<InThePapersScale>(gates, real)), {1.19375 / 16}, 1e-14) == "");
  });
}

TEST_CASE("a group of padding alone has no loss and no share in the mean; where there is nothing else the loss is 0") {
  on_every_grid([](Grid const& grid) {
    Values values = g1;
    values.resize(16 * 5, not_a_number);
    auto const gates = tensor_of<Gates>(grid, {{5, 4, 4}, values});
    std::vector<int> padding;
    for (int place = 4; place < 20; ++place) padding.push_back(place);
    auto const routing = routing_of(gates, mask_of(grid, 5, 4, padding));
    CHECK(difference(nn::balance_loss(gates, routing), {1.3875}, 1e-14) == "");
    CHECK(difference(routing.balance_loss, {1.3875 / 16, 0, 0, 0, 0}, 1e-14) == "");
    CHECK(difference(nn::z_loss(gates, mask_of(grid, 5, 4, padding), routing),
                     collected(nn::z_losses(tensor_of<Gates>(grid, {{1, 4, 4}, g1}), mask_of(grid, 1, 4))),
                     1e-14) == "");
    using Losses = ShardedTensor<Grid, Spec<"data,expert">, double>;
    auto const losses = tensor_of<Losses>(grid, {{5}, {3, not_a_number, not_a_number, not_a_number, not_a_number}});
    CHECK(difference(nn::mean_over_groups(losses, routing), {3}) == "");
    for (int place = 0; place < 4; ++place) padding.push_back(place);
    auto const nothing = routing_of(gates, mask_of(grid, 5, 4, padding));
    CHECK(difference(nn::balance_loss(gates, nothing), {0}) == "");
    CHECK(nn::statistics(nothing).dropped_share() == 0);
  });
}

TEST_CASE("E6: two layers that collapse on different experts have a loss of 2 each") {
  on_every_grid([](Grid const& grid) {
    for (Values const& row : {Values{1, 0}, Values{0, 1}}) {
      Values rows;
      for (int token = 0; token < 6; ++token) rows.insert(rows.end(), row.begin(), row.end());
      auto const gates = tensor_of<Gates>(grid, {{2, 3, 2}, rows});
      CHECK(difference(nn::balance_loss(gates, routing_of(gates, mask_of(grid, 2, 3))), {2}) == "");
    }
  });
}

// ---- The router z-loss ----

TEST_CASE("T30: the square of the logarithm of the sum of exponentials") {
  on_every_grid([](Grid const& grid) {
    auto const losses = [&](std::int64_t groups, Values const& logits) {
      std::int64_t const tokens = static_cast<std::int64_t>(logits.size()) / 4 / groups;
      return collected(
          nn::z_losses(tensor_of<Gates>(grid, {{groups, tokens, 4}, logits}), mask_of(grid, groups, tokens)));
    };
    CHECK(losses(2, {0, 0, 0, 0, 1, 2, 3, 4})[0] == doctest::Approx(1.9218120556728056).epsilon(1e-14));
    CHECK(losses(2, {0, 0, 0, 0, 1, 2, 3, 4})[1] == doctest::Approx(19.71528455920896).epsilon(1e-14));
    CHECK(losses(1, {0, 0, 0, 0, 1, 2, 3, 4})[0] == doctest::Approx(10.81854830744088).epsilon(1e-14));
    CHECK(losses(1, {10, 0, 0, 0})[0] == doctest::Approx(100.00272382884663).epsilon(1e-14));
    CHECK(losses(1, {1000, 0, 0, 0})[0] == 1e6);
  });
}

TEST_CASE("E5: the z-loss is of the logits, not of probabilities") {
  on_every_grid([](Grid const& grid) {
    auto const logits = tensor_of<Gates>(grid, {{1, 2, 2}, {0, 0, std::log(3.), 0}});
    auto const loss = collected(nn::z_losses(logits, mask_of(grid, 1, 2)))[0];
    CHECK(loss == doctest::Approx((std::log(2.) * std::log(2.) + std::log(4.) * std::log(4.)) / 2).epsilon(1e-14));
    CHECK(loss == doctest::Approx(1.2011).epsilon(1e-4));
  });
}

// ---- Gradients ----

namespace {

/// Both losses as loops: the balance loss of Algorithm 1 with counts of the logits as they are now, E^2 times the mean
/// over groups with tokens, and half the z-loss.
double losses_of(Dense const& logits, std::vector<int> const& real) {
  auto const groups = static_cast<std::size_t>(logits.extents[0]), tokens = static_cast<std::size_t>(logits.extents[1]);
  auto const experts = static_cast<std::size_t>(logits.extents[2]);
  double balance = 0, z = 0, live = 0;
  for (std::size_t group = 0; group < groups; ++group) {
    Values mean(experts, 0), count(experts, 0);
    double found = 0, squares = 0;
    for (std::size_t token = group * tokens; token < (group + 1) * tokens; ++token) {
      if (real[token] == 0) continue;
      double const* const row = logits.values.data() + token * experts;
      double sum = 0;
      for (std::size_t e = 0; e < experts; ++e) sum += std::exp(row[e]);
      for (std::size_t e = 0; e < experts; ++e) mean[e] += std::exp(row[e]) / sum;
      count[static_cast<std::size_t>(std::max_element(row, row + experts) - row)] += 1;
      squares += std::log(sum) * std::log(sum);
      found += 1;
    }
    if (found == 0) continue;
    live += 1;
    z += squares / found;
    for (std::size_t e = 0; e < experts; ++e)
      balance += static_cast<double>(experts) * (count[e] / found) * (mean[e] / found);
  }
  return balance / live + .5 * z / live;
}

}  // namespace

TEST_CASE(
    "E8, E9: the gradient of both losses with respect to the logits, against central differences, does not depend on the mesh") {
  on_every_grid([](Grid const& grid) {
    for (std::vector<int> const& padding : {std::vector<int>{}, std::vector<int>{1, 6, 10, 11, 12, 13, 14}}) {
      Dense logits = smooth_values({4, 5, 3}, 7);
      std::vector<int> real(20, 1);
      for (int place : padding) real[static_cast<std::size_t>(place)] = 0;
      auto const mask = integers<Spec<"data,expert", _>>(grid, {4, 5}, real);
      Tape tape;
      auto const z = tape.watch(tensor_of<Gates>(grid, logits));
      auto const gates = softmax<-1>(z);
      nn::Routing<Gates> const routing(gates.value(), mask, {}, nn::RandomStream{});
      auto const loss = nn::balance_loss(gates, routing) + nn::z_loss(z, mask, routing) * .5;
      tape.backward(eval(loss));
      CHECK(difference(eval(loss).value(), {losses_of(logits, real)}, 1e-13) == "");
      auto const differences = central_differences([&] { return losses_of(logits, real); }, logits.values);
      CHECK(difference(tape.gradient(z), differences, 1e-8) == "");
    }
  });
}

// ---- Statistics ----

TEST_CASE("E4: load over all ranks, dropped share, and the loss over first choices") {
  on_every_grid([](Grid const& grid) {
    Values rows;
    for (int group = 0; group < 3; ++group)
      for (double gate : {.6, .3, .1, .5, .4, .1, .7, .2, .1, .1, .6, .3}) rows.push_back(gate);
    auto const gates = tensor_of<Gates>(grid, {{3, 4, 3}, rows});
    auto const real = mask_of(grid, 3, 4);
    auto const all = nn::statistics(routing_of(gates, real, 3), nn::z_loss(gates, real, routing_of(gates, real)));
    CHECK(all.load == std::vector<std::int64_t>{9, 12, 3});
    CHECK(all.tokens == 12);
    CHECK(all.choices == 24);
    CHECK(all.dropped_share() == 0);
    CHECK(all.balance_loss == doctest::Approx(1.35).epsilon(1e-14));
    CHECK(all.z_loss == doctest::Approx(collected(nn::z_losses(gates, real))[0]).epsilon(1e-14));
    // Two slots each: of 3, 4 and 1 choices 2, 2 and 1 stay.
    auto const some = nn::statistics(routing_of(gates, real, 1.5));
    CHECK(some.load == std::vector<std::int64_t>{6, 6, 3});
    CHECK(some.dropped_share() == 1 - 15. / 24);
    CHECK(some.balance_loss == all.balance_loss);
    // Without capacity nothing is dropped.
    CHECK(nn::statistics(routing_of<nn::Dropless<>>(gates, real)).load == all.load);
  });
}

// ---- Chance, and precision ----

TEST_CASE("what is sampled depends on the seed, the stream and the token alone") {
  auto const routed = [](Grid const& grid, std::uint64_t stream) {
    auto const gates = softmax<-1>(filled<Gates>(grid, {5, 6, 7}, 3, smooth));
    nn::Routing<Gates, Sampled3> const routing(eval(gates), mask_of(grid, 5, 6), {}, nn::RandomStream{4, stream});
    return collected(routing.expert);
  };
  Runtime alone(MPI_COMM_SELF);
  Grid const whole(alone, {1, 1});
  auto const right = routed(whole, 1);
  CHECK(routed(whole, 2) != right);
  on_every_grid([&](Grid const& grid) { CHECK(routed(grid, 1) == right); });
}

TEST_CASE("E12: activations in bfloat16 are routed in float: expert 1, where bfloat16 gates would tie") {
  on_every_grid([](Grid const& grid) {
    // The activations are exact in bfloat16; what they add up to is not.
    auto const x =
        eval(cast<BFloat16>(from_vector<GatesOf<float>>(grid, {1, 1, 2}, std::vector<float>{1, .001953125f})));
    auto const weights =
        from_vector<ShardedTensor<Grid, Spec<_, _>, float>>(grid, {2, 3}, std::vector<float>{0, 0, -3, 0, 1.024f, 0});
    auto const gates = softmax<-1>(eval(einsum<"gsm,me->gse">(eval(cast<float>(x)), weights)));
    using Float = GatesOf<float>;
    nn::Routing<Float, nn::SwitchGate> const routing(eval(gates), mask_of(grid, 1, 1), {}, {});
    CHECK(difference(routing.expert, {1}) == "");
    CHECK(difference(routing.weight, {.48836}, 1e-4) == "");
    auto const rounded = collected(eval(cast<float>(eval(cast<BFloat16>(eval(gates))))));
    CHECK(rounded[0] == rounded[1]);
  });
}

// ---- Numbers that are not finite ----

TEST_CASE("the z-loss of logits with -inf is that of the others; of -inf alone +inf; of NaN NaN; padding is not read") {
  on_every_grid([](Grid const& grid) {
    constexpr double inf = std::numeric_limits<double>::infinity();
    auto const losses =
        collected(nn::z_losses(tensor_of<Gates>(grid, {{5, 1, 3},
                                                       {0, 0, -inf, -inf, -inf, -inf, 1, inf, 0, 1, not_a_number, inf,
                                                        not_a_number, not_a_number, not_a_number}}),
                               mask_of(grid, 5, 1, {4})));
    CHECK(losses[0] == doctest::Approx(std::log(2.) * std::log(2.)).epsilon(1e-14));
    CHECK(losses[1] == inf);
    CHECK(losses[2] == inf);
    CHECK(std::isnan(losses[3]));
    CHECK(losses[4] == 0);
  });
}

TEST_CASE("a masked expert, of logits -inf, is chosen with no weight, and its logits get a gradient of 0") {
  on_every_grid([](Grid const& grid) {
    constexpr double inf = std::numeric_limits<double>::infinity();
    Tape tape;
    auto const z = tape.watch(tensor_of<Gates>(grid, {{2, 2, 3}, {1, -inf, 2, 1, -inf, -inf, 0, -inf, 0, 3, -inf, 1}}));
    auto const gates = softmax<-1>(z);
    auto const mask = mask_of(grid, 2, 2);
    auto const routing = routing_of(gates.value(), mask);
    CHECK(difference(routing.expert, {2, 0, 0, 1, 0, 2, 0, 2}) == "");
    CHECK(difference(routing.slot, {0, 1, 0, -1, 0, 0, 1, 1}) == "");
    auto const weights = nn::route_weights(gates, routing);
    auto const weight = collected(weights.value());
    CHECK(weight[2] == 1);
    CHECK(weight[3] == 0);
    tape.backward(
        eval(sum(weights * filled<std::remove_cvref_t<decltype(weights.value())>>(grid, {2, 2, 2}, 1, smooth)) +
             nn::balance_loss(gates, routing) + nn::z_loss(z, mask, routing)));
    auto const gradient = collected(tape.gradient(z));
    for (double element : gradient) CHECK(std::isfinite(element));
    for (std::size_t place : {1U, 4U, 5U, 7U, 10U}) CHECK(gradient[place] == 0);
  });
}

TEST_CASE("a token whose gates are NaN goes to the first expert with weight NaN, one without weight goes nowhere") {
  on_every_grid([](Grid const& grid) {
    auto const gates = tensor_of<Gates>(grid, {{1, 3, 3}, {.1, not_a_number, .9, .2, .3, .5, 0, 0, 0}});
    auto const routing = routing_of(gates, mask_of(grid, 1, 3), 6);
    CHECK(difference(routing.expert, {1, 2, 2, 1, 0, 1}) == "");
    CHECK(difference(routing.slot, {0, -1, 0, 1, -1, -1}) == "");
    auto const weight = collected(routing.weight);
    CHECK(std::isnan(weight[0]));
    CHECK(weight[1] == 0);  // a choice after the first is sent for a weight above 0
    CHECK(weight[2] == doctest::Approx(.625).epsilon(1e-14));
    CHECK(weight[4] == 0);
    CHECK(std::isnan(collected(nn::balance_loss(gates, routing))[0]));
  });
}

// ---- What a count means ----

namespace {

struct MeanOfThree : nn::TopKGate<3> {
  static constexpr auto balance_choices = nn::BalanceChoices::mean_of_all;
};
struct ChoiceWithLoss : nn::ExpertChoiceGate<2> {
  static constexpr auto balance_choices = nn::BalanceChoices::first;
};

}  // namespace

TEST_CASE("mean_of_all divides by the choices that a token makes: of 2 experts 2 and not K = 3; even is 1") {
  on_every_grid([](Grid const& grid) {
    Tape tape;
    auto const z = tape.watch(tensor_of<Gates>(grid, {{1, 4, 2}, {0, 0, 0, 0, 0, 0, 0, 0}}));
    auto const gates = softmax<-1>(z);
    auto const routing = routing_of<MeanOfThree>(gates.value(), mask_of(grid, 1, 4), 4);
    auto const loss = nn::balance_loss(gates, routing);
    CHECK(difference(loss.value(), {1}, 1e-14) == "");
    tape.backward(loss);
    CHECK(difference(tape.gradient(z), Values(8, 0), 1e-14) == "");
  });
}

TEST_CASE("a token that no expert chose is no padding: it takes part in the mean gates, and gets their gradient") {
  on_every_grid([](Grid const& grid) {
    Values logits{.5, .4, .1, .3, .3, .4, .2, .2, .6};
    for (double& gate : logits) gate = std::log(gate);
    Tape tape;
    auto const z = tape.watch(tensor_of<Gates>(grid, {{1, 3, 3}, logits}));
    auto const gates = softmax<-1>(z);
    auto const routing = routing_of<ChoiceWithLoss>(gates.value(), mask_of(grid, 1, 3), 1);
    CHECK(difference(routing.expert, {0, 1, -1, -1, 2, -1}) == "");
    CHECK(difference(routing.first_choices, {1, 0, 1}) == "");
    tape.backward(nn::balance_loss(gates, routing));
    // The loss is E sum_e (c_e / S) m_e, so that a gate's gradient is c_e / 3, and a logit's g_e (c_e - sum_j g_j c_j)
    // / 3.
    Values right{.2, -.24, .04, .09, -.21, .12, .04, -.16, .12};
    for (double& element : right) element /= 3;
    CHECK(difference(tape.gradient(z), right, 1e-14) == "");
  });
}

// ---- Nothing ----

TEST_CASE("no groups, no tokens, and fewer groups than ranks") {
  on_every_grid([](Grid const& grid) {
    for (Extents const& extents : {Extents{0, 3, 2}, Extents{2, 0, 2}, Extents{1, 3, 2}}) {
      Tape tape;
      auto const z = tape.watch(filled<Gates>(grid, extents, 3, smooth));
      auto const gates = softmax<-1>(z);
      auto const mask = mask_of(grid, extents[0], extents[1]);
      nn::Routing<Gates> const routing(gates.value(), mask, {}, nn::RandomStream{});
      auto const loss = eval(nn::balance_loss(gates, routing) + nn::z_loss(z, mask, routing));
      tape.backward(loss);
      CHECK(tape.gradient(z).extents() == extents);
      CHECK(std::isfinite(collected(loss.value())[0]));
      CHECK((collected(loss.value())[0] == 0) == (extents[0] * extents[1] == 0));
    }
  });
}

TEST_CASE("a mask of other extents than the gates is refused") {
  on_every_grid([](Grid const& grid) {
    auto const gates = tensor_of<Gates>(grid, {{2, 4, 2}, Values(16, .5)});
    CHECK_THROWS_WITH_AS(
        routing_of(gates, mask_of(grid, 2, 3)),
        doctest::Contains(
            "gate: dimension 1 of mask (2, 3) has to be 4, one number for each token (G, S) of the gates"),
        ExtentError);
  });
}
