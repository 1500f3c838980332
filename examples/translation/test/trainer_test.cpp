// SPDX-License-Identifier: Apache-2.0
// The trainer and the decoder on several ranks against one rank that does everything alone, on a language with rules:
// word w is translated by w + 16, and words keep their order.
#include "train.hpp"

#include <sys/resource.h>

#include <cmath>

#include "mpi_test.hpp"
#include "tokenizer.hpp"

using namespace translation;
using namespace gshard::test;

namespace {

constexpr std::int32_t first_word = 4;
constexpr std::int32_t words = 16;

TokenPair pair_of(std::vector<std::int32_t> source) {
  TokenPair pair{std::move(source), {}};
  for (std::int32_t& word : pair.source) {
    word += first_word;
    pair.target.push_back(word + words);
  }
  pair.source.push_back(end_id);
  pair.target.push_back(end_id);
  return pair;
}

/// Sentences of 1 to 9 words.
std::vector<TokenPair> synthetic_pairs(int count, std::uint64_t seed) {
  std::vector<TokenPair> pairs;
  for (int i = 0; i < count; ++i) {
    auto const number = [&](std::uint64_t index) {
      return gshard::random_uniform(seed, static_cast<std::uint64_t>(i), index);
    };
    std::vector<std::int32_t> source(1 + static_cast<std::size_t>(9 * number(0)));
    for (std::size_t place = 0; place < source.size(); ++place)
      source[place] = static_cast<std::int32_t>(words * number(1 + place));
    pairs.push_back(pair_of(source));
  }
  return pairs;
}

gshard::nn::TransformerOptions small_model() {
  gshard::nn::TransformerOptions options;
  options.vocabulary = first_word + 2 * words;
  options.max_length = 16;
  options.model = 32;
  options.hidden = 48;
  options.heads = 4;
  options.experts = 4;
  return options;
}

TrainingOptions training(std::int64_t steps, std::int64_t groups) {
  TrainingOptions options;
  options.steps = steps;
  options.warmup = 5;
  options.batches.groups = groups;
  options.batches.tokens_per_batch = 160;
  options.seed = 7;
  return options;
}

/// A model on a mesh of its own.
struct Trainee {
  Grid grid;
  Model model;

  Trainee(gshard::Runtime& runtime, std::array<int, 2> const& sizes)
      : grid(runtime, sizes), model(grid, small_model(), 7) {}

  /// Becomes the model of a mesh of one rank.
  void take_parameters(Trainee& other) {
    std::vector<std::vector<float>> values;
    other.model.for_each_parameter(
        [&](auto const& parameter) { values.push_back(gshard::to_vector(parameter.value)); });
    std::size_t next = 0;
    model.for_each_parameter([&]<class Tensor>(gshard::Parameter<Tensor>& parameter) {
      parameter.value = gshard::from_vector<Tensor>(grid, parameter.value.extents(), values[next++]);
    });
  }

  std::vector<Step> train(std::vector<TokenPair> const& pairs, TrainingOptions const& options) {
    std::vector<Step> steps;
    translation::train(grid, model, pairs, options, [&](Step const& step) { steps.push_back(step); });
    return steps;
  }
};

/// A job of one rank on each rank.
struct Alone {
  gshard::Runtime runtime{MPI_COMM_SELF};
  Trainee trainee{runtime, {1, 1}};
};

std::vector<std::array<int, 2>> all_meshes() {
  std::vector<std::array<int, 2>> sizes;
  for (int data = 1; data <= ranks(); ++data)
    if (ranks() % data == 0) sizes.push_back({data, ranks() / data});
  return sizes;
}

double largest_deviation(std::vector<Step> const& steps, std::vector<Step> const& right, double Step::* what) {
  double worst = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    double const deviation = std::abs(steps[i].*what / (right[i].*what) - 1);
    if (!(deviation <= worst)) worst = deviation;
  }
  return worst;
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace

TEST_CASE("one model and seed give the same losses over 20 steps on every mesh as on one rank") {
  auto const pairs = synthetic_pairs(200, 1);
  for (std::int64_t const groups : {ranks(), ranks() + 1}) {
    TrainingOptions const options = training(20, groups);
    auto const right = Alone().trainee.train(pairs, options);
    REQUIRE(right.size() == 20);
    CHECK(right.back().loss < .9 * right.front().loss);
    for (auto const& sizes : all_meshes()) {
      Trainee trainee(runtime(), sizes);
      INFO("mesh ", trainee.grid.text(), ", ", groups, " groups");
      auto const steps = trainee.train(pairs, options);
      REQUIRE(steps.size() == right.size());
      CHECK(largest_deviation(steps, right, &Step::loss) < 1e-4);
      CHECK(largest_deviation(steps, right, &Step::balance) < 1e-4);
      CHECK(largest_deviation(steps, right, &Step::gradient_norm) < 1e-3);
      for (std::size_t i = 0; i < right.size(); ++i) {
        CHECK(steps[i].number == static_cast<std::int64_t>(i) + 1);
        CHECK(steps[i].target_tokens == right[i].target_tokens);
      }
    }
  }
}

TEST_CASE("no memory is taken after an epoch that had every shape") {
  auto const pairs = synthetic_pairs(120, 2);
  for (auto const& sizes : all_meshes()) {
    TrainingOptions options = training(0, ranks());
    auto const epoch = std::ssize(training_batches(pairs, options.batches, 0));
    options.steps = 8 * epoch;
    std::vector<std::int64_t> allocations;
    std::vector<double> megabytes;
    Trainee trainee(runtime(), sizes);
    INFO("mesh ", trainee.grid.text());
    translation::train(trainee.grid, trainee.model, pairs, options, [&](Step const&) {
      allocations.push_back(trainee.grid.memory().allocations<Kokkos::HostSpace>());
      megabytes.push_back(peak_megabytes());
    });
    CHECK(allocations[0] > 0);
    CHECK(allocations.back() == allocations[static_cast<std::size_t>(epoch)]);
    CHECK(megabytes.back() - megabytes[static_cast<std::size_t>(2 * epoch)] < 2);
  }
}

namespace {

std::vector<std::int32_t> words_of(TokenPair const& pair) { return {pair.target.begin(), pair.target.end() - 1}; }

}  // namespace

TEST_CASE("a trained model translates right what it never saw, on every mesh as on one rank") {
  auto const seen = synthetic_pairs(400, 3);
  auto const unseen = synthetic_pairs(40, 4);
  TrainingOptions options = training(900, ranks());
  options.learning_rate = 5e-3;
  options.warmup = 50;
  Alone alone;
  auto const steps = alone.trainee.train(seen, options);
  CHECK(steps.back().loss < .25 * steps.front().loss);
  auto const right = translate(alone.trainee.grid, alone.trainee.model, unseen, options.batches);
  std::size_t correct = 0;
  for (std::size_t i = 0; i < unseen.size(); ++i) correct += right[i] == words_of(unseen[i]);
  CHECK(correct >= 36);

  for (auto const& sizes : all_meshes()) {
    Trainee trainee(runtime(), sizes);
    INFO("mesh ", trainee.grid.text());
    trainee.take_parameters(alone.trainee);
    CHECK(translate(trainee.grid, trainee.model, unseen, options.batches) == right);

    // E15: a sentence of one word on the first rank, nine on the second; then nothing at all on the others; then no
    // sentence on any.
    auto const short_one = pair_of({3}), long_one = pair_of({1, 2, 3, 4, 5, 6, 7, 8, 9});
    for (auto const& few : {std::vector{short_one, long_one}, std::vector{long_one, short_one}, std::vector{short_one},
                            std::vector<TokenPair>{}})
      CHECK(translate(trainee.grid, trainee.model, few, options.batches) ==
            translate(alone.trainee.grid, alone.trainee.model, few, options.batches));
  }
}
