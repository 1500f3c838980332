// SPDX-License-Identifier: Apache-2.0
// A small translation model in double precision: its gradients against central differences, and all of it against one
// rank that works alone.
#include <cmath>
#include <cstdint>

#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/transformer/transformer.hpp>
#include <gshard/optim/adamw.hpp>

#include "central_differences.hpp"
#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Model = nn::Transformer<Grid, ByExpert, nn::TransformerParts, double>;
using Side = Model::Side;

constexpr std::int64_t vocabulary = 7;
constexpr std::int64_t sentences = 2;
constexpr std::int64_t source_length = 3;
constexpr std::int64_t target_length = 4;

nn::TransformerOptions tiny() {
  nn::TransformerOptions options;
  options.vocabulary = vocabulary;
  options.max_length = 5;
  options.model = 4;
  options.hidden = 3;
  options.heads = 2;
  options.experts = 3;
  options.gate.capacity_factor = 1.5;
  return options;
}

/// Sentences (G, 2) of 0 to `length` words.
Side side(Grid const& grid, std::int64_t groups, std::int64_t length, int seed) {
  std::vector<int> ids, positions, real, lengths;
  for (int sentence = 0; sentence < groups * sentences; ++sentence) {
    int const words = (sentence * 3 + seed + 1) % static_cast<int>(length + 1);
    lengths.push_back(words);
    for (int place = 0; place < length; ++place) {
      bool const is_word = place < words;
      ids.push_back(is_word ? (sentence * 5 + place * 3 + seed) % static_cast<int>(vocabulary) : -1);
      positions.push_back(is_word ? place : -1);
      real.push_back(is_word ? 1 : 0);
    }
  }
  auto const tensor = [&](std::int64_t columns, std::vector<int> const& values) {
    return from_vector<Side::Integers>(grid, {groups, columns}, values);
  };
  return {tensor(sentences * length, ids), tensor(sentences * length, positions), tensor(sentences * length, real),
          tensor(sentences, lengths)};
}

/// A model and a batch.
struct Task {
  Model model;
  Side source, target, spoken;
  double words;

  Task(Grid const& grid, std::int64_t groups)
      : model(grid, tiny(), 4),
        source(side(grid, groups, source_length, 2)),
        target(side(grid, groups, target_length, 1)),
        spoken(side(grid, groups, target_length, 1)),
        words(static_cast<double>(sum(target.real))) {}

  nn::RandomStream random() const { return {6, 1 << 16}; }

  double loss() {
    auto const output = model(source, target, random());
    return collected(nn::cross_entropy(output.logits, spoken.ids, words, .1))[0] +
           .1 * collected(output.balance_loss)[0];
  }

  double recorded_loss() {
    Tape tape;
    auto const output = model(tape, source, target, random());
    auto const loss = nn::cross_entropy(output.logits, spoken.ids, words, .1) + output.balance_loss * .1;
    tape.backward(loss);
    return collected(loss.value())[0];
  }
};

}  // namespace

TEST_CASE("gradients of every parameter, at two of its elements") {
  on_every_grid([](Grid const& grid) {
    Task task(grid, 3);
    CHECK(task.recorded_loss() == doctest::Approx(task.loss()).epsilon(1e-13));
    int number = 0;
    task.model.for_each_parameter([&](auto const& parameter) {
      ++number;
      INFO("parameter ", number, ", ", parameter.value.name());
      REQUIRE(parameter.has_gradient());
      auto const gradient = collected(parameter.gradient);
      CHECK(difference(parameter.gradient, gradient) == "");
      auto const size = static_cast<std::size_t>(parameter.value.size());
      for (std::size_t position : {size / 3, size - 1}) {
        double const step = 1e-5;
        add_to_element(parameter.value, position, step);
        double const above = task.loss();
        add_to_element(parameter.value, position, -2 * step);
        double const below = task.loss();
        add_to_element(parameter.value, position, step);
        CHECK(std::abs(gradient[position] - (above - below) / (2 * step)) < 1e-8);
      }
    });
    CHECK(number == 48);
  });
}

TEST_CASE(
    "the same model on every mesh as on one rank alone: parameters, loss, gradients, and all after three steps of AdamW") {
  Runtime alone(MPI_COMM_SELF);
  for (std::int64_t groups : {1, 3, 8}) {
    auto const states = [&](Grid const& grid) {
      std::vector<Values> result;
      Task task(grid, groups);
      optim::AdamW<> optimizer({.max_norm = 1});
      task.model.for_each_parameter([&](auto const& parameter) { result.push_back(collected(parameter.value)); });
      for (int step = 0; step < 3; ++step) {
        result.push_back({task.recorded_loss()});
        if (step == 0)
          task.model.for_each_parameter(
              [&](auto const& parameter) { result.push_back(collected(parameter.gradient)); });
        result.push_back({optimizer.step(task.model, .01)});
      }
      task.model.for_each_parameter([&](auto const& parameter) { result.push_back(collected(parameter.value)); });
      return result;
    };
    auto const right = states(Grid(alone, {1, 1}));
    on_every_grid([&](Grid const& grid) {
      auto const found = states(grid);
      REQUIRE(found.size() == right.size());
      for (std::size_t i = 0; i < right.size(); ++i) {
        INFO("item ", i, ", ", groups, " groups");
        CHECK(difference(found[i], right[i], 1e-9) == "");
      }
    });
  }
}

TEST_CASE("a batch of nothing but padding, of 0 tokens: the loss is 0, and so are all gradients") {
  on_every_grid([](Grid const& grid) {
    Task task(grid, 2);
    for (auto* side : {&task.source, &task.target, &task.spoken})
      for (auto* tensor : {&side->ids, &side->positions}) Kokkos::deep_copy(tensor->flat(), -1);
    for (auto* side : {&task.source, &task.target, &task.spoken})
      for (auto* tensor : {&side->real, &side->lengths}) Kokkos::deep_copy(tensor->flat(), 0);
    task.words = 0;
    CHECK(task.recorded_loss() == 0);
    CHECK(optim::gradient_norm(task.model) == 0);
  });
}

TEST_CASE("inference in two parts gives the logits of the whole, and draws no random numbers") {
  on_every_grid([](Grid const& grid) {
    Task task(grid, 3);
    auto const whole = collected(task.model(task.source, task.target).logits);
    auto const memory = task.model.encode(task.source);
    auto const parts = task.model.logits(task.model.decode(memory, task.source, task.target));
    CHECK(difference(parts, whole) == "");
  });
}
