// SPDX-License-Identifier: Apache-2.0
// One layer by one-hot einsums on one rank, and in all forms however axes split it: the same outputs, and the same
// gradients of inputs and parameters.
#include <string>
#include <vector>

#include "expert_layouts.hpp"
#include "mixture_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

/// What a layer gives for the same inputs and seed: outputs, the gradient of the inputs, then those of the parameters.
template <class Held, class Gate, template <class, class, class, class> class Experts>
std::vector<Values> results_of(Grid const& grid, nn::DispatchForm form, nn::MixtureOptions const& options) {
  nn::Initializer initializer(5);
  nn::MixtureOfExperts<Grid, Held, Gate, Experts, double> layer(grid, initializer, options);
  std::int64_t seed = 40;
  layer.for_each_parameter([&](auto& parameter) { fill_by_position(parameter.value, ++seed, smooth); });
  auto const mask = integers<Spec<Held::tokens, _>>(grid, {3, 4}, {1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1});
  Tape tape;
  auto const x = tape.watch(filled<Tensor<Spec<Held::tokens, _, _>>>(grid, {3, 4, 3}, 1, smooth));
  auto const run = [&]<nn::DispatchForm Form>(std::integral_constant<nn::DispatchForm, Form>) {
    return layer.template operator()<Form>(x, mask, nn::RandomStream{11, 5}).output;
  };
  auto const in_slots = [&] {
    if constexpr (Gate::drop == nn::Drop::never)
      return run(std::integral_constant<nn::DispatchForm, nn::DispatchForm::ragged>{});
    else if (form == nn::DispatchForm::by_index)
      return run(std::integral_constant<nn::DispatchForm, nn::DispatchForm::by_index>{});
    else return run(std::integral_constant<nn::DispatchForm, nn::DispatchForm::by_one_hot>{});
  };
  auto const output = form == nn::DispatchForm::ragged
                          ? run(std::integral_constant<nn::DispatchForm, nn::DispatchForm::ragged>{})
                          : in_slots();
  tape.backward(weighted_sum(output));
  std::vector<Values> results{collected(output.value()), collected(tape.gradient(x))};
  layer.for_each_parameter([&](auto const& parameter) { results.push_back(collected(parameter.gradient)); });
  return results;
}

template <class Gate, template <class, class, class, class> class Experts, class... Held>
void check_forms(nn::MixtureOptions const& options) {
  Runtime alone(MPI_COMM_SELF);
  Grid const whole(alone, {1, 1});
  auto const right = results_of<AsInThePaper, Gate, Experts>(whole, nn::DispatchForm::by_one_hot, options);
  auto const check = [&]<class Way>(std::type_identity<Way>, Grid const& grid, int way) {
    for (nn::DispatchForm form : {nn::DispatchForm::by_index, nn::DispatchForm::by_one_hot, nn::DispatchForm::ragged}) {
      INFO("parallelism ", way, ", form ", static_cast<int>(form));
      auto const found = results_of<Way, Gate, Experts>(grid, form, options);
      REQUIRE(found.size() == right.size());
      for (std::size_t i = 0; i < right.size(); ++i) {
        INFO("result ", i);
        CHECK(difference(found[i], right[i], 1e-12) == "");
      }
    }
  };
  on_every_grid([&](Grid const& grid) {
    int way = 0;
    (check(std::type_identity<Held>{}, grid, way++), ...);
  });
}

nn::MixtureOptions options_for(std::int64_t experts, double capacity_factor, std::int64_t shared) {
  nn::MixtureOptions options{experts, 3, 4, {}, shared};
  options.gate.capacity_factor = capacity_factor;
  return options;
}

}  // namespace

TEST_CASE("all three forms agree: relu experts, with room for all choices, and with drops") {
  check_forms<nn::Top2Gate, nn::ReluExperts, AsInThePaper, BothOverAllRanks, ByExpertInPieces>(options_for(3, 6, 0));
  check_forms<nn::Top2Gate, nn::ReluExperts, AsInThePaper, BothOverAllRanks, ByExpertInPieces>(options_for(8, .5, 0));
}

TEST_CASE("all three forms agree: gated experts with bias, beside two shared ones") {
  check_forms<nn::Top2Gate, nn::BiasedGatedExperts, TokensRepeatedOverExperts, ByHiddenUnit, ByExpertAndHiddenUnit,
              InPieces>(options_for(4, 2, 2));
}

TEST_CASE("all three forms agree: three choices of each token, one, and experts that choose") {
  check_forms<nn::TopKGate<3>, nn::ReluExperts, AsInThePaper, TokensRepeatedOverExperts>(options_for(5, 2, 0));
  check_forms<nn::SwitchGate, nn::ReluExperts, AsInThePaper>(options_for(5, 1, 0));
  check_forms<nn::ExpertChoiceGate<4>, nn::ReluExperts, AsInThePaper>(options_for(5, 2, 0));
}

TEST_CASE("a gate that never drops gives what one with room for all choices gives") {
  Runtime alone(MPI_COMM_SELF);
  Grid const whole(alone, {1, 1});
  auto const right = results_of<AsInThePaper, nn::Top2Gate, nn::GatedExperts>(whole, nn::DispatchForm::by_one_hot,
                                                                              options_for(5, 10, 0));
  on_every_grid([&](Grid const& grid) {
    auto const found = results_of<AsInThePaper, nn::Dropless<nn::Top2Gate>, nn::GatedExperts>(
        grid, nn::DispatchForm::ragged, options_for(5, 1, 0));
    REQUIRE(found.size() == right.size());
    for (std::size_t i = 0; i < right.size(); ++i) CHECK(difference(found[i], right[i], 1e-12) == "");
  });
}

namespace {

template <class Held>
void check_shared(Grid const& grid) {
  nn::Initializer initializer(5);
  nn::MixtureOfExperts<Grid, Held, nn::Top2Gate, nn::ReluExperts, double> layer(grid, initializer,
                                                                                options_for(4, 2, 2));
  fill_by_position(layer.experts.wo.weight.value, 0, [](std::int64_t, std::int64_t) { return 0.; });
  auto const x = filled<Tensor<Spec<Held::tokens, _, _>>>(grid, {3, 4, 3}, 1, smooth);
  auto const mask = integers<Spec<Held::tokens, _>>(grid, {3, 4}, {1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1});
  Values const wi = collected(layer.shared.layer->wi.weight.value), wo = collected(layer.shared.layer->wo.weight.value);
  Values right(36, 0);
  for (std::size_t token = 0; token < 12; ++token)
    for (std::size_t h = 0; h < 8; ++h) {
      if (token == 6 || token == 7) continue;  // padding
      double sum = 0;
      for (std::size_t m = 0; m < 3; ++m) sum += smooth(1, static_cast<std::int64_t>(token * 3 + m)) * wi[m * 8 + h];
      for (std::size_t m = 0; m < 3; ++m) right[token * 3 + m] += std::max(sum, 0.) * wo[h * 3 + m];
    }
  CHECK(difference(layer(x, mask, nn::RandomStream{}).output, right, 1e-12) == "");
}

}  // namespace

TEST_CASE("two shared experts of 4 hidden units see every token, as one of 8, and no padding") {
  on_every_grid([](Grid const& grid) {
    check_shared<AsInThePaper>(grid);
    check_shared<ByExpertAndHiddenUnit>(grid);
    check_shared<InPieces>(grid);
  });
}
