// SPDX-License-Identifier: Apache-2.0
// The Transformer with BFloat16 activations and parameters, gates and losses in float, beside itself in float.
#include <cstdint>
#include <type_traits>
#include <vector>

#include <gshard/core/bfloat16.hpp>
#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/transformer/transformer.hpp>
#include <gshard/optim/adamw.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};

constexpr std::int64_t vocabulary = 16, sentences = 2, places = 4;

/// The losses of ten steps that learn to repeat a sentence.
template <class T, class Optimizer>
std::vector<double> losses(Grid const& grid) {
  using Model = nn::Transformer<Grid, ByExpert, nn::TransformerParts, T>;
  using Side = typename Model::Side;
  std::int64_t const groups = 8;
  std::vector<int> ids, positions;
  for (int i = 0; i < groups * sentences * places; ++i) {
    ids.push_back((i * i + 3 * i) % static_cast<int>(vocabulary));
    positions.push_back(i % static_cast<int>(places));
  }
  auto const tensor = [&](std::int64_t columns, std::vector<int> const& values) {
    return from_vector<typename Side::Integers>(grid, {groups, columns}, values);
  };
  Side const side{tensor(sentences * places, ids), tensor(sentences * places, positions),
                  tensor(sentences * places, std::vector<int>(ids.size(), 1)),
                  tensor(sentences, std::vector<int>(groups * sentences, places))};
  Model model(grid,
              {.vocabulary = vocabulary, .max_length = places, .model = 32, .hidden = 48, .heads = 2, .experts = 4}, 3);
  Optimizer optimizer({.max_norm = 1});
  std::vector<double> result;
  for (std::uint64_t step = 0; step < 10; ++step) {
    Tape tape;
    auto const output = model(tape, side, side, nn::RandomStream{1, step << 16});
    auto const loss = nn::cross_entropy(output.logits, side.ids, static_cast<double>(ids.size()), 0.1);
    static_assert(std::is_same_v<typename std::remove_cvref_t<decltype(loss.value())>::value_type, float>);
    tape.backward(eval(loss + output.balance_loss * 0.01));
    optimizer.step(model, 0.002);
    result.push_back(sum(loss.value()));
  }
  return result;
}

}  // namespace

TEST_CASE("a Transformer in BFloat16 with float copies of its parameters learns as one in float does") {
  on_every_grid([](Grid const& grid) {
    std::vector<double> const exact = losses<float, optim::AdamW<>>(grid);
    std::vector<double> const rounded = losses<BFloat16, optim::AdamW<optim::MasterWeights>>(grid);
    for (std::size_t step = 0; step < exact.size(); ++step) {
      INFO("step ", step);
      CHECK(rounded[step] == doctest::Approx(exact[step]).epsilon(.03));
    }
    CHECK(exact.back() < .8 * exact.front());
    CHECK(losses<BFloat16, optim::AdamW<optim::MasterWeights>>(grid) == rounded);
  });
}
