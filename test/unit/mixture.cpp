// SPDX-License-Identifier: Apache-2.0
// The mixture of experts by index and by one-hot einsums, on every mesh, against Algorithms 1 and 2 as loops over whole
// tensors.
#include "mixture_test.hpp"

using namespace gshard;
using namespace gshard::test;

// ---- The plan: dispatch and return are one all-to-all each, over the expert axis alone ----

namespace {

constexpr ReshardPlan to_experts = reshard_plan_of<On<_, "data,expert", _, _>, Spec<"expert", "data", _, _>>;
constexpr ReshardPlan to_tokens = reshard_plan_of<On<"expert", "data", _, _>, Spec<_, "data,expert", _, _>>;
static_assert(to_experts.steps.size() == 1 && to_experts.steps[0].movement == Movement::all_to_all);
static_assert(to_tokens.steps.size() == 1 && to_tokens.steps[0].movement == Movement::all_to_all);
static_assert(to_experts.steps[0].axes == AxisSet::of(Grid::find("expert")) &&
              to_tokens.steps[0].axes == AxisSet::of(Grid::find("expert")));

}  // namespace

// ---- Values and gradients ----

TEST_CASE_TEMPLATE(
    "both forms are Algorithms 1 and 2: outputs, balance loss, gradients of inputs and of all parameters", Held,
    AsInThePaper, TokensRepeatedOverExperts, BothOverAllRanks) {
  on_every_grid([&](Grid const& grid) {
    for (MixtureShape const& shape : mixture_shapes) {
      check_mixture<nn::DispatchForm::by_index, Held>(grid, shape);
      check_mixture<nn::DispatchForm::by_one_hot, Held>(grid, shape);
    }
  });
}

TEST_CASE("E24: what unused slots and memory hold before never reaches a result") {
  on_every_grid([](Grid const& grid) {
    for (MixtureShape const& shape : mixture_shapes) {
      poison(grid);
      check_mixture<nn::DispatchForm::by_index, AsInThePaper>(grid, shape);
    }
  });
}

TEST_CASE("the random second choice does not depend on the mesh") {
  MixtureShape const shape{"random", 6, 8, 4, 1, 2, {}};
  auto const options = options_of(shape);
  auto const outputs_on = [&](Grid const& grid, std::uint64_t stream) {
    nn::Initializer initializer(3);
    nn::MixtureOfExperts<Grid, AsInThePaper, nn::Top2Gate, nn::ReluExperts, double> layer(grid, initializer, options);
    auto const x = filled<On<"data,expert", _, _>>(grid, {shape.groups, shape.tokens, 3}, 1, smooth);
    auto const mask = integers<Spec<"data,expert", _>>(grid, {shape.groups, shape.tokens}, real_places(shape));
    return collected(layer(x, mask, nn::RandomStream{11, stream}).output);
  };
  Runtime alone(MPI_COMM_SELF);
  Grid const whole(alone, {1, 1});
  auto const right = outputs_on(whole, 5);
  CHECK(difference(right, outputs_on(whole, 6), 1e-3) != "");
  on_every_grid([&](Grid const& grid) { CHECK(difference(outputs_on(grid, 5), right, 1e-13) == ""); });
}

// ---- Figures of the paper, and cases of other systems ----

namespace {

/// Gates given as such, the same for each group.
template <AxisNames Axes>
On<Axes, _, _> gates_on(Grid const& grid, std::int64_t groups, std::vector<Values> const& rows) {
  Dense gates{{groups, static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows[0].size())}, {}};
  for (std::int64_t group = 0; group < groups; ++group)
    for (Values const& row : rows) gates.values.insert(gates.values.end(), row.begin(), row.end());
  return tensor_of<On<Axes, _, _>>(grid, gates);
}

template <class T>
std::vector<T> times(std::int64_t count, std::vector<T> const& values) {
  std::vector<T> result;
  for (std::int64_t i = 0; i < count; ++i) result.insert(result.end(), values.begin(), values.end());
  return result;
}

using Gates = On<"data,expert", _, _>;

nn::Routing<Gates, nn::TopKGate<2>> routing_of(Grid const& grid, std::int64_t groups, std::vector<Values> const& rows,
                                               std::vector<int> const& real, double factor) {
  auto const mask =
      integers<Spec<"data,expert", _>>(grid, {groups, static_cast<std::int64_t>(rows.size())}, times(groups, real));
  nn::GateOptions options;
  options.capacity_factor = factor;
  return nn::Routing<Gates, nn::TopKGate<2>>(gates_on<"data,expert">(grid, groups, rows), mask, options,
                                             nn::RandomStream{});
}

}  // namespace

TEST_CASE("T26: forward through dispatch, experts and combine, gates given; every group the same") {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t groups : {1, 3, 8}) {
      auto const routing = routing_of(grid, groups, {{.75, .25}, {.75, .25}, {.75, .25}, {.25, .75}}, {1, 1, 1, 1}, 1);
      CHECK(routing.capacity == 2);
      auto const x = tensor_of<Gates>(grid, {{groups, 4, 2}, times<double>(groups, {1, 2, 3, -1, 0, 1, 2, 2})});
      auto const wi = tensor_of<On<"expert", _, _>>(grid, {{2, 2, 2}, {1, -1, 0, 2, 2, 0, 1, 1}});
      auto const wo = tensor_of<On<"expert", _, _>>(grid, {{2, 2, 2}, {1, 0, 1, 1, 0, 1, 2, -1}});
      auto const sent = reshard<Spec<"expert", "data", _, _>>(nn::dispatch(x, routing));
      Values right = times<double>(groups, {1, 2, 3, -1});
      for (double element : times<double>(groups, {2, 2, 1, 2})) right.push_back(element);
      CHECK(difference(sent, right) == "");
      auto const hidden = eval(relu(einsum<"egcm,emh->egch">(sent, wi)));
      auto const back = reshard<Spec<_, "data,expert", _, _>>(eval(einsum<"egch,ehm->egcm">(hidden, wo)));
      CHECK(difference(nn::combine(back, routing.weight, routing),
                       times<double>(groups, {4, 2.75, 2.25, 0, 0, 0, 3, 3}), 1e-14) == "");
      CHECK(difference(routing.first_choices, times<double>(groups, {3, 1})) == "");
      CHECK(difference(routing.choices, times<double>(groups, {4, 4})) == "");
      CHECK(difference(routing.balance_loss, Values(static_cast<std::size_t>(groups), .28125), 1e-14) == "");
    }
  });
}

TEST_CASE("E4: the loss counts first choices, the load both") {
  on_every_grid([](Grid const& grid) {
    auto const routing = routing_of(grid, 2, {{.6, .3, .1}, {.5, .4, .1}, {.7, .2, .1}, {.1, .6, .3}}, {1, 1, 1, 1}, 2);
    CHECK(difference(routing.first_choices, {3, 1, 0, 3, 1, 0}) == "");
    CHECK(difference(routing.choices, {3, 4, 1, 3, 4, 1}) == "");
    CHECK(difference(routing.mean_gates, {.475, .375, .15, .475, .375, .15}, 1e-14) == "");
    CHECK(difference(routing.balance_loss, {.15, .15}, 1e-14) == "");
  });
}

TEST_CASE("E7: padding takes no slot") {
  on_every_grid([](Grid const& grid) {
    auto const routing =
        routing_of(grid, 3, {{.6, .3, .1}, {.6, .3, .1}, {.6, .3, .1}, {.5, .4, .1}}, {0, 0, 1, 1}, .75);
    CHECK(routing.capacity == 1);
    CHECK(difference(routing.token_of_slot, {2, 2, 2, 2, 2, 2, -1, -1, -1}) == "");
    CHECK(difference(routing.weight, times<double>(3, {0, 0, 0, 0, 2. / 3, 1. / 3, 0, 0}), 1e-14) == "");
    CHECK(difference(routing.expert, times<double>(3, {-1, -1, -1, -1, 0, 1, 0, 1})) == "");
  });
}

TEST_CASE("E13: capacity is that of each group, not of all tokens") {
  on_every_grid([](Grid const& grid) {
    auto const routing = routing_of(grid, 2, {{.9, .1}, {.9, .1}}, {1, 1}, 1);
    CHECK(routing.capacity == 1);
    CHECK(difference(routing.slot, {0, 0, -1, -1, 0, 0, -1, -1}) == "");
  });
}

TEST_CASE("D3: an expert's gradient does not depend on how many ranks share the experts") {
  // y = w x, all of x = 1, 2, 3, 4 to expert 0 with weight 1, loss mean(y): dw = 2.5.
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(1);
    nn::MixtureOptions options{2, 1, 1, {}};
    nn::MixtureOfExperts<Grid, AsInThePaper, nn::Top2Gate, nn::ReluExperts, double> layer(grid, initializer, options);
    layer.gate.value = tensor_of<On<_, _>>(grid, {{1, 2}, {500, -500}});
    layer.experts.wi.weight.value = tensor_of<On<"expert", _, _>>(grid, {{2, 1, 1}, {1, 1}});
    layer.experts.wo.weight.value = tensor_of<On<"expert", _, _>>(grid, {{2, 1, 1}, {3, 5}});
    Tape tape;
    auto const x = tape.watch(tensor_of<Gates>(grid, {{4, 1, 1}, {1, 2, 3, 4}}));
    auto const result = layer(x, integers<Spec<"data,expert", _>>(grid, {4, 1}, {1, 1, 1, 1}), nn::RandomStream{});
    CHECK(difference(result.output.value(), {3, 6, 9, 12}) == "");
    tape.backward(mean(result.output));
    CHECK(difference(layer.experts.wo.weight.gradient, {2.5, 0}) == "");
    CHECK(difference(layer.experts.wi.weight.gradient, {7.5, 0}) == "");
    CHECK(difference(tape.gradient(x), {.75, .75, .75, .75}) == "");
  });
}

TEST_CASE("E10: an expert that no token chooses gets a gradient of zeros, and its rank keeps in step") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(2);
    nn::MixtureOptions options{3, 2, 2, {}};
    nn::MixtureOfExperts<Grid, AsInThePaper, nn::TopKGate<2>, nn::ReluExperts, double> layer(grid, initializer,
                                                                                             options);
    layer.gate.value = tensor_of<On<_, _>>(grid, {{2, 3}, {0, -2000, .1, 0, -2000, .1}});
    Tape tape;
    auto const x = tape.watch(tensor_of<Gates>(grid, {{3, 1, 2}, {1, 2, 3, 4, 5, 6}}));
    poison(grid);
    auto const result = layer(x, integers<Spec<"data,expert", _>>(grid, {3, 1}, {1, 1, 1}), nn::RandomStream{});
    tape.backward(weighted_sum(result.output));
    for (auto const& gradient : {layer.experts.wi.weight.gradient, layer.experts.wo.weight.gradient}) {
      auto const elements = collected(gradient);
      double others = 0;
      for (std::size_t i = 0; i < 12; ++i) {
        CHECK(std::isfinite(elements[i]));
        if (i / 4 == 1) CHECK(elements[i] == 0);
        else others += std::abs(elements[i]);
      }
      CHECK(others > 0);
    }
  });
}

namespace {

/// The gradient of E^2 times the mean balance loss with respect to the logits behind the gates.
template <class Check>
void check_balance_gradient(Grid const& grid, std::int64_t groups, std::vector<Values> const& logits,
                            Check const& check) {
  Tape tape;
  auto const z = tape.watch(gates_on<"data,expert">(grid, groups, logits));
  auto const gates = softmax<-1>(z);
  std::int64_t const tokens = static_cast<std::int64_t>(logits.size());
  double const experts = static_cast<double>(logits[0].size());
  auto const mask = integers<Spec<"data,expert", _>>(grid, {groups, tokens},
                                                     std::vector<int>(static_cast<std::size_t>(groups * tokens), 1));
  nn::Routing<Gates> const routing(gates.value(), mask, {}, nn::RandomStream{});
  auto const loss = mean(nn::balance_losses(gates, routing)) * (experts * experts);
  tape.backward(loss);
  check(loss.value(), tape.gradient(z));
}

}  // namespace

TEST_CASE("E9, T14: the gate's gradient through the balance loss, counts held fixed") {
  on_every_grid([](Grid const& grid) {
    check_balance_gradient(grid, 1, {{1, 0}, {1, 0}}, [](auto const& loss, auto const& gradient) {
      CHECK(difference(loss, {1.4621171572600098}, 1e-12) == "");
      CHECK(difference(gradient, {.19661193, -.19661193, .19661193, -.19661193}, 1e-8) == "");
    });
    std::vector<Values> logits = {{.5, .3, .1, .1}, {.4, .1, .3, .2}, {.6, .2, .15, .05}, {.1, .2, .3, .4}};
    for (Values& row : logits)
      for (double& gate : row) gate = std::log(gate);
    Values const t14 = {.0109375,  -.0075,     -.0025,       -.0009375,    .01,       -.0021875, -.0065625,  -.00125,
                        .01078125, -.00578125, -.0043359375, -.0006640625, .00359375, -.0021875, -.00328125, .001875};
    for (std::int64_t groups : {1, 3})
      check_balance_gradient(grid, groups, logits, [&](auto const& loss, auto const& gradient) {
        CHECK(difference(loss, {1.3875}, 1e-12) == "");
        Values right = times(groups, t14);
        for (double& element : right) element *= 16 / static_cast<double>(groups);
        CHECK(difference(gradient, right, 1e-12) == "");
      });
  });
}
