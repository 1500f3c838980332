// SPDX-License-Identifier: Apache-2.0
// Padding is left out of a mixture of experts, and not multiplied by 0: whatever its rows and their gradients hold, it
// changes neither results nor gradients. Nothing but padding gives zeros.
#include <cmath>
#include <limits>
#include <vector>

#include <gshard/nn/moe/layer.hpp>

#include "expert_layouts.hpp"
#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

/// What a layer is run on: three rows of each group's tokens, and what its losses are multiplied by.
struct Run {
  std::vector<int> mask;
  Values x;         ///< (G, S, 2)
  Values upstream;  ///< (G, S, 2)
};

/// All that a layer gives, in a row for each: outputs, losses, statistics, gradients of inputs and of parameters.
template <nn::DispatchForm Form, class Layer>
std::vector<Values> results_of(Layer& layer, Run const& run) {
  using X = ShardedTensor<Grid, Spec<"data,expert", _, _>, double>;
  Grid const& grid = layer.gate.value.mesh();
  auto const tokens = static_cast<std::int64_t>(run.mask.size());
  std::int64_t const groups = tokens / 3;
  auto const mask = integers<Spec<"data,expert", _>>(grid, {groups, 3}, run.mask);
  Tape tape;
  auto const x = tape.watch(tensor_of<X>(grid, {{groups, 3, 2}, run.x}));
  auto const result = layer.template operator()<Form>(x, mask, nn::RandomStream{5, 6});
  using Loss = std::remove_cvref_t<decltype(result.balance_loss.value())>;
  tape.accumulate<X>(result.output.node(), tensor_of<X>(grid, {{groups, 3, 2}, run.upstream}));
  tape.accumulate<Loss>(result.balance_loss.node(), tensor_of<Loss>(grid, {{}, {1}}));
  tape.backward();
  nn::GateStatistics const statistics = nn::statistics(result.routing);
  std::vector<Values> results{collected(result.output.value()),
                              collected(result.balance_loss.value()),
                              {statistics.load.begin(), statistics.load.end()},
                              {static_cast<double>(statistics.tokens), static_cast<double>(statistics.choices),
                               statistics.balance_loss, statistics.dropped_share()},
                              collected(tape.gradient(x)),
                              collected(layer.template infer<Form>(x.value(), mask))};
  layer.for_each_parameter([&](auto& parameter) {
    results.push_back(collected(parameter.gradient));
    parameter.clear_gradient();
  });
  return results;
}

/// A layer whose experts and shared expert have biases, and whose router has a z-loss.
template <class Gate>
using Layer = nn::MixtureOfExperts<Grid, ByExpertInPieces, Gate, nn::BiasedReluExperts, double>;

template <class Gate>
Layer<Gate> layer_on(Grid const& grid, std::int64_t experts, double capacity_factor) {
  nn::MixtureOptions options{experts, 2, 3, {}, 1};
  options.gate.capacity_factor = capacity_factor;
  options.gate.z_loss_weight = .1;
  nn::Initializer initializer(3);
  Layer<Gate> layer(grid, initializer, options);
  std::int64_t seed = 50;
  layer.for_each_parameter([&](auto& parameter) { fill_by_position(parameter.value, ++seed, smooth); });
  return layer;
}

/// `run` with `element` in the padding of x and of the upstream gradient.
Run with_rubbish(Run run, double element) {
  for (std::size_t token = 0; token < run.mask.size(); ++token)
    if (run.mask[token] == 0)
      for (std::size_t m = 2 * token; m < 2 * token + 2; ++m) run.x[m] = run.upstream[m] = element;
  return run;
}

Run const some_padding = [] {
  Run run{{1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, {}, {}};  // the second group is of padding alone
  run.x = smooth_values({4, 3, 2}, 1).values;
  run.upstream = smooth_values({4, 3, 2}, 2).values;
  return with_rubbish(run, 0);
}();

template <class Gate, nn::DispatchForm... Forms>
void check_padding() {
  on_every_grid([](Grid const& grid) {
    for (double factor : {inf, .7}) {
      auto layer = layer_on<Gate>(grid, 3, factor);
      auto const check = [&]<nn::DispatchForm Form>(std::integral_constant<nn::DispatchForm, Form>) {
        INFO("form ", static_cast<int>(Form), ", capacity factor ", factor);
        auto const right = results_of<Form>(layer, some_padding);
        for (Values const& values : right)
          for (double value : values) CHECK(std::isfinite(value));
        for (std::size_t token : {2U, 3U, 4U, 5U, 6U})
          for (std::size_t m = 2 * token; m < 2 * token + 2; ++m) {
            CHECK(right[0][m] == 0);
            CHECK(right[4][m] == 0);
            CHECK(right[5][m] == 0);
          }
        for (double rubbish : {not_a_number, inf, -inf, 1e300})
          CHECK(results_of<Form>(layer, with_rubbish(some_padding, rubbish)) == right);
        for (Values const& values :
             results_of<Form>(layer, with_rubbish({{0, 0, 0, 0, 0, 0}, Values(12), Values(12)}, not_a_number)))
          for (double value : values) CHECK(value == 0);
      };
      (check(std::integral_constant<nn::DispatchForm, Forms>{}), ...);
    }
  });
}

}  // namespace

TEST_CASE("padding of NaN: the gradients of all parameters are those of the two tokens before it") {
  on_every_grid([](Grid const& grid) {
    // Without random routing and with room for all choices a token's results do not depend on the others.
    nn::MixtureOptions options{2, 2, 3, {}};
    options.gate.capacity_factor = inf;
    nn::Initializer initializer(3);
    nn::MixtureOfExperts<Grid, ByExpertInPieces, nn::TopKGate<2>, nn::ReluExperts, double> layer(grid, initializer,
                                                                                                 options);
    using X = ShardedTensor<Grid, Spec<"data,expert", _, _>, double>;
    auto const gradients = [&](std::int64_t tokens, Values const& x, std::vector<int> const& mask) {
      Tape tape;
      auto const result = layer(tape.watch(tensor_of<X>(grid, {{1, tokens, 2}, x})),
                                integers<Spec<"data,expert", _>>(grid, {1, tokens}, mask), nn::RandomStream{});
      tape.backward(eval(sum(result.output) + result.balance_loss));
      std::vector<Values> found;
      layer.for_each_parameter([&](auto& parameter) {
        found.push_back(collected(parameter.gradient));
        parameter.clear_gradient();
      });
      return found;
    };
    auto const right = gradients(2, {.3, -.5, 1, .25}, {1, 1});
    auto const found = gradients(3, {.3, -.5, 1, .25, not_a_number, not_a_number}, {1, 1, 0});
    for (std::size_t i = 0; i < right.size(); ++i) CHECK(difference(found[i], right[i], 1e-14) == "");
  });
}

TEST_CASE("rubbish in padding changes nothing, padding alone gives zeros: random second choices, in all forms") {
  using enum nn::DispatchForm;
  check_padding<nn::Top2Gate, by_index, by_one_hot, ragged>();
}

TEST_CASE("rubbish in padding changes nothing, padding alone gives zeros: experts that choose, in all forms") {
  using enum nn::DispatchForm;
  check_padding<nn::ExpertChoiceGate<2>, by_index, by_one_hot, ragged>();
}

TEST_CASE("rubbish in padding changes nothing, padding alone gives zeros: one expert for each token, and no capacity") {
  check_padding<nn::SwitchGate, nn::DispatchForm::by_index>();
  check_padding<nn::Dropless<>, nn::DispatchForm::ragged>();
}
