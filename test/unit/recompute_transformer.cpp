// SPDX-License-Identifier: Apache-2.0
// A Transformer whose blocks run again in the backward pass: the same gradients, dropout and random routing included,
// for less memory.
#include <cstdint>
#include <vector>

#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/transformer/transformer.hpp>

#include "layer_test.hpp"
#include "sentences.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Model = nn::Transformer<Grid, ByExpert, nn::TransformerParts, double>;

constexpr int groups = 3, places = 8;

Model::Side side(Grid const& grid, int seed) {
  std::vector<int> ids, lengths;
  for (int sentence = 0; sentence < 2 * groups; ++sentence) {
    lengths.push_back(places - (sentence + seed) % 3);
    for (int place = 0; place < places; ++place) ids.push_back((sentence * 5 + place * 3 + seed) % 16);
  }
  return sentences_of<Model::Side>(grid, groups, ids, lengths);
}

struct Outcome {
  double loss;
  std::vector<Values> gradients;
  std::int64_t kept;    ///< bytes in use between the forward and the backward pass, beside what was before
  std::int64_t tokens;  ///< of this rank
};

Outcome train(Grid const& grid, bool again) {
  nn::TransformerOptions options;
  options.vocabulary = 16;
  options.max_length = places;
  options.model = 8;
  options.hidden = 32;
  options.heads = 2;
  options.encoder_layers = 4;
  options.decoder_layers = 4;
  options.experts = 4;
  options.dropout = {.1, .1, .1};
  options.recompute = again;
  Model model(grid, options, 4);
  auto const spoken = side(grid, 3);
  std::int64_t const before = grid.memory().ledger().bytes_in_use();
  Tape tape;
  // The sentences live no longer than the forward pass.
  auto const output = model(tape, side(grid, 1), side(grid, 2), nn::RandomStream{6, 1 << 16});
  auto const loss = eval(nn::cross_entropy(output.logits, spoken.ids, 1, .1) + output.balance_loss * .01);
  Outcome outcome{
      collected(loss.value())[0], {}, grid.memory().ledger().bytes_in_use() - before, spoken.ids.local_size()};
  tape.backward(loss);
  model.for_each_parameter([&](auto const& parameter) {
    REQUIRE(parameter.has_gradient());
    outcome.gradients.push_back(collected(parameter.gradient));
  });
  return outcome;
}

}  // namespace

TEST_CASE(
    "a Transformer of blocks that run again: the same loss to the last bit, the same gradients, and a third of what is kept") {
  on_every_grid([](Grid const& grid) {
    Outcome const kept = train(grid, false), again = train(grid, true);
    CHECK(again.loss == kept.loss);
    REQUIRE(again.gradients.size() == kept.gradients.size());
    for (std::size_t i = 0; i < kept.gradients.size(); ++i) {
      INFO("parameter ", i);
      // The gradients of the encoded source and of embedded words are summed in another order.
      CHECK(difference(again.gradients[i], kept.gradients[i], 1e-12) == "");
    }
    if (kept.tokens > 0) CHECK(3 * again.kept < kept.kept);
  });
}
