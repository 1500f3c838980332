// SPDX-License-Identifier: Apache-2.0
// The mixture of experts by index and by one-hot einsums, on every mesh, against Algorithms 1 and 2 as loops over whole tensors.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <gshard/nn/moe/layer.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class Spec>
using Tensor = ShardedTensor<Grid, Spec, double>;
template <AxisNames... Entries>
using On = Tensor<Spec<Entries...>>;

constexpr double balance_weight = .5;

/// Algorithm 1 with second choices that always go: weights (G, S, E) and E^2 times the mean of l_aux.
struct Gating {
  Values weights;
  double balance = 0;

  Gating(Dense const& gates, std::vector<int> const& real, std::int64_t capacity) : weights(gates.values.size(), 0) {
    auto const groups = static_cast<std::size_t>(gates.extents[0]), tokens = static_cast<std::size_t>(gates.extents[1]);
    auto const experts = static_cast<std::size_t>(gates.extents[2]);
    for (std::size_t group = 0; group < groups; ++group) {
      std::vector<std::int64_t> count(experts, 0);
      Values mean(experts, 0);
      double real_tokens = 0;
      for (int choice = 0; choice < 2; ++choice) {
        for (std::size_t token = group * tokens; token < (group + 1) * tokens; ++token) {
          if (real[token] == 0) continue;
          double const* const g = gates.values.data() + token * experts;
          std::size_t const first = static_cast<std::size_t>(std::max_element(g, g + experts) - g);
          std::size_t second = first == 0 ? 1 : 0;
          for (std::size_t e = 0; e < experts; ++e)
            if (e != first && g[e] > g[second]) second = e;
          std::size_t const chosen = choice == 0 ? first : second;
          if (count[chosen]++ < capacity) weights[token * experts + chosen] = g[chosen] / (g[first] + g[second]);
          if (choice == 1) continue;
          real_tokens += 1;
          for (std::size_t e = 0; e < experts; ++e) mean[e] += g[e];
        }
        if (choice == 1 || real_tokens == 0) continue;
        for (std::size_t e = 0; e < experts; ++e)
          balance += static_cast<double>(experts) / static_cast<double>(groups) * (static_cast<double>(count[e]) / real_tokens) * (mean[e] / real_tokens);
      }
    }
  }
};

/// The layer: in[0] is x (G, S, M), then gate (M, E), wi (E, M, H), wo (E, H, M). Gives all outputs, and the balance loss as one more.
Values mixture_of(std::vector<Dense> const& in, std::vector<int> const& real, std::int64_t capacity) {
  auto const model = static_cast<std::size_t>(in[1].extents[0]), experts = static_cast<std::size_t>(in[1].extents[1]);
  auto const hidden = static_cast<std::size_t>(in[2].extents[2]);
  Values const &x = in[0].values, &wi = in[2].values, &wo = in[3].values;
  Dense gates{{in[0].extents[0], in[0].extents[1], in[1].extents[1]}, {}};
  for (std::size_t token = 0; token < real.size(); ++token) {
    Values row(experts, 0);
    double sum = 0;
    for (std::size_t e = 0; e < experts; ++e) {
      for (std::size_t m = 0; m < model; ++m) row[e] += x[token * model + m] * in[1].values[m * experts + e];
      sum += row[e] = std::exp(row[e]);
    }
    for (double gate : row) gates.values.push_back(gate / sum);
  }
  Gating const gating(gates, real, capacity);
  Values result(x.size(), 0);
  for (std::size_t token = 0; token < real.size(); ++token)
    for (std::size_t e = 0; e < experts; ++e) {
      double const weight = gating.weights[token * experts + e];
      if (weight == 0) continue;
      for (std::size_t h = 0; h < hidden; ++h) {
        double sum = 0;
        for (std::size_t m = 0; m < model; ++m) sum += x[token * model + m] * wi[(e * model + m) * hidden + h];
        for (std::size_t m = 0; m < model; ++m) result[token * model + m] += weight * std::max(sum, 0.) * wo[(e * hidden + h) * model + m];
      }
    }
  result.push_back(gating.balance);
  return result;
}

double loss_of(Values const& outputs_and_balance) {
  Values const outputs(outputs_and_balance.begin(), outputs_and_balance.end() - 1);
  return weighted_sum(outputs) + balance_weight * outputs_and_balance.back();
}

struct Shape {
  char const* name;
  std::int64_t groups, tokens, experts;
  double capacity_factor;
  std::int64_t capacity;     ///< ceil(factor * tokens / experts)
  std::vector<int> padding;  ///< which places of all groups together
};

Shape const shapes[] = {
    {"even", 8, 4, 8, 2, 1, {}},
    {"room for all choices", 8, 4, 4, 8, 8, {}},
    {"fewer experts than ranks, drops", 8, 6, 3, .7, 2, {}},
    {"fewer groups than ranks", 1, 7, 4, 1.5, 3, {}},
    {"uneven groups and experts", 3, 5, 5, 2, 2, {}},
    {"padding", 3, 5, 3, 1, 2, {0, 3, 4, 9, 13, 14}},
    {"a group of padding", 3, 4, 4, 2, 2, {4, 5, 6, 7}},
    {"nothing but padding", 2, 2, 4, 2, 1, {0, 1, 2, 3}},
};

std::vector<int> real_places(Shape const& shape) {
  std::vector<int> real(static_cast<std::size_t>(shape.groups * shape.tokens), 1);
  for (int place : shape.padding) real[static_cast<std::size_t>(place)] = 0;
  return real;
}

nn::MixtureOptions options_of(Shape const& shape) {
  nn::MixtureOptions options{shape.experts, 3, 2, {}};
  options.gate.capacity_factor = shape.capacity_factor;
  options.gate.second_choice = nn::SecondChoicePolicy::always;
  return options;
}

/// The whole of what a layer gives, against the loops.
template <nn::DispatchForm Form, AxisNames TokenAxes, AxisNames ExpertAxes>
void check_mixture(Grid const& grid, Shape const& shape) {
  INFO(shape.name, Form == nn::DispatchForm::by_index ? ", by index" : ", by one-hot einsums");
  using X = On<TokenAxes, _, _>;
  nn::Initializer initializer(3);
  nn::MixtureOfExperts<Grid, TokenAxes, ExpertAxes, double> layer(grid, initializer, options_of(shape));
  auto const real = real_places(shape);
  auto const mask = integers<Spec<TokenAxes, _>>(grid, {shape.groups, shape.tokens}, real);

  std::vector<Dense> values = {smooth_values({shape.groups, shape.tokens, 3}, 1)};
  layer.for_each_parameter([&](auto& parameter) { values.push_back({parameter.value.extents(), collected(parameter.value)}); });
  Values outputs = mixture_of(values, real, shape.capacity);
  double const balance = outputs.back();
  outputs.pop_back();

  auto const x = tensor_of<X>(grid, values[0]);
  auto const plain = layer.template operator()<Form>(x, mask, nn::RandomStream{});
  CHECK(plain.routing.capacity == shape.capacity);
  CHECK(difference(plain.output, outputs, 1e-12) == "");
  CHECK(difference(plain.balance_loss, {balance}, 1e-12) == "");

  Tape tape;
  auto const recorded = tape.watch(x);
  auto const result = layer.template operator()<Form>(recorded, mask, nn::RandomStream{});
  CHECK(difference(result.output.value(), outputs, 1e-12) == "");
  CHECK(difference(result.balance_loss.value(), {balance}, 1e-12) == "");
  tape.backward(weighted_sum(result.output) + result.balance_loss * balance_weight);

  auto const differences = [&](std::size_t number) {
    return central_differences([&] { return loss_of(mixture_of(values, real, shape.capacity)); }, values[number].values);
  };
  CHECK(difference(tape.gradient(recorded), differences(0), 1e-7) == "");
  std::size_t number = 1;
  layer.for_each_parameter([&](auto const& parameter) {
    INFO("gradient of ", parameter.value.name());
    CHECK(difference(parameter.gradient, differences(number++), 1e-7) == "");
  });
}

/// Fills the memory that tensors will get with NaN.
void poison(Grid const& grid) {
  std::vector<On<_>> tensors;
  for (std::int64_t size = 8; size <= 2048; size += std::max<std::int64_t>(8, static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(size))) / 8))
    for (int i = 0; i < 8; ++i) {
      tensors.emplace_back(grid, Extents{size});
      Kokkos::deep_copy(tensors.back().flat(), std::numeric_limits<double>::quiet_NaN());
    }
}

}  // namespace

// ---- The plan: dispatch and return are one all-to-all each, over the expert axis alone ----

namespace {

constexpr ReshardPlan to_experts = reshard_plan_of<On<_, "data,expert", _, _>, Spec<"expert", "data", _, _>>;
constexpr ReshardPlan to_tokens = reshard_plan_of<On<"expert", "data", _, _>, Spec<_, "data,expert", _, _>>;
static_assert(to_experts.steps.size() == 1 && to_experts.steps[0].movement == Movement::all_to_all);
static_assert(to_tokens.steps.size() == 1 && to_tokens.steps[0].movement == Movement::all_to_all);
static_assert(to_experts.steps[0].axes == AxisSet::of(Grid::find("expert")) && to_tokens.steps[0].axes == AxisSet::of(Grid::find("expert")));

}  // namespace

// ---- Values and gradients ----

namespace {

template <AxisNames Tokens, AxisNames Experts>
struct Axes {
  static constexpr AxisNames tokens = Tokens;
  static constexpr AxisNames experts = Experts;
};

using AsInThePaper = Axes<"data,expert", "expert">;
using TokensRepeatedOverExperts = Axes<"data", "expert">;
using BothOverAllRanks = Axes<"data,expert", "data,expert">;

}  // namespace

TEST_CASE_TEMPLATE("both forms are Algorithms 1 and 2: outputs, balance loss, gradients of inputs and of all parameters", Held, AsInThePaper,
                   TokensRepeatedOverExperts, BothOverAllRanks) {
  on_every_grid([&](Grid const& grid) {
    for (Shape const& shape : shapes) {
      check_mixture<nn::DispatchForm::by_index, Held::tokens, Held::experts>(grid, shape);
      check_mixture<nn::DispatchForm::by_one_hot, Held::tokens, Held::experts>(grid, shape);
    }
  });
}

TEST_CASE("E24: what unused slots and memory hold before never reaches a result") {
  on_every_grid([](Grid const& grid) {
    for (Shape const& shape : shapes) {
      poison(grid);
      check_mixture<nn::DispatchForm::by_index, "data,expert", "expert">(grid, shape);
    }
  });
}

TEST_CASE("the random second choice does not depend on the mesh") {
  Shape const shape{"random", 6, 8, 4, 1, 2, {}};
  auto options = options_of(shape);
  options.gate.second_choice = nn::SecondChoicePolicy::random;
  auto const outputs_on = [&](Grid const& grid, std::uint64_t stream) {
    nn::Initializer initializer(3);
    nn::MixtureOfExperts<Grid, "data,expert", "expert", double> layer(grid, initializer, options);
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

nn::Routing<Gates> routing_of(Grid const& grid, std::int64_t groups, std::vector<Values> const& rows, std::vector<int> const& real, double factor) {
  auto const mask = integers<Spec<"data,expert", _>>(grid, {groups, static_cast<std::int64_t>(rows.size())}, times(groups, real));
  nn::GateOptions options;
  options.capacity_factor = factor;
  options.second_choice = nn::SecondChoicePolicy::always;
  return nn::Routing<Gates>(gates_on<"data,expert">(grid, groups, rows), mask, options, nn::RandomStream{});
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
      CHECK(difference(nn::combine(back, routing.weight, routing), times<double>(groups, {4, 2.75, 2.25, 0, 0, 0, 3, 3}), 1e-14) == "");
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
    auto const routing = routing_of(grid, 3, {{.6, .3, .1}, {.6, .3, .1}, {.6, .3, .1}, {.5, .4, .1}}, {0, 0, 1, 1}, .75);
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
    nn::MixtureOfExperts<Grid, "data,expert", "expert", double> layer(grid, initializer, options);
    layer.gate.value = tensor_of<On<_, _>>(grid, {{1, 2}, {500, -500}});
    layer.wi.value = tensor_of<On<"expert", _, _>>(grid, {{2, 1, 1}, {1, 1}});
    layer.wo.value = tensor_of<On<"expert", _, _>>(grid, {{2, 1, 1}, {3, 5}});
    Tape tape;
    auto const x = tape.watch(tensor_of<Gates>(grid, {{4, 1, 1}, {1, 2, 3, 4}}));
    auto const result = layer(x, integers<Spec<"data,expert", _>>(grid, {4, 1}, {1, 1, 1, 1}), nn::RandomStream{});
    CHECK(difference(result.output.value(), {3, 6, 9, 12}) == "");
    tape.backward(mean(result.output));
    CHECK(difference(layer.wo.gradient, {2.5, 0}) == "");
    CHECK(difference(layer.wi.gradient, {7.5, 0}) == "");
    CHECK(difference(tape.gradient(x), {.75, .75, .75, .75}) == "");
  });
}

TEST_CASE("E10: an expert that no token chooses gets a gradient of zeros, and its rank keeps in step") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(2);
    nn::MixtureOptions options{3, 2, 2, {}};
    options.gate.second_choice = nn::SecondChoicePolicy::always;
    nn::MixtureOfExperts<Grid, "data,expert", "expert", double> layer(grid, initializer, options);
    layer.gate.value = tensor_of<On<_, _>>(grid, {{2, 3}, {0, -2000, .1, 0, -2000, .1}});
    Tape tape;
    auto const x = tape.watch(tensor_of<Gates>(grid, {{3, 1, 2}, {1, 2, 3, 4, 5, 6}}));
    poison(grid);
    auto const result = layer(x, integers<Spec<"data,expert", _>>(grid, {3, 1}, {1, 1, 1}), nn::RandomStream{});
    tape.backward(weighted_sum(result.output));
    for (auto const& gradient : {layer.wi.gradient, layer.wo.gradient}) {
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
void check_balance_gradient(Grid const& grid, std::int64_t groups, std::vector<Values> const& logits, Check const& check) {
  Tape tape;
  auto const z = tape.watch(gates_on<"data,expert">(grid, groups, logits));
  auto const gates = softmax<-1>(z);
  std::int64_t const tokens = static_cast<std::int64_t>(logits.size());
  double const experts = static_cast<double>(logits[0].size());
  auto const mask = integers<Spec<"data,expert", _>>(grid, {groups, tokens}, std::vector<int>(static_cast<std::size_t>(groups * tokens), 1));
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
    Values const t14 = {.0109375,  -.0075,    -.0025,       -.0009375,    .01,       -.0021875, -.0065625,  -.00125,
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
