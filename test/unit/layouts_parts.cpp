// SPDX-License-Identifier: Apache-2.0
// A Transformer of other parts, split over everything at once: its gradients against central differences.
#include <cmath>
#include <cstdint>

#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/transformer/transformer.hpp>

#include "central_differences.hpp"
#include "layer_test.hpp"
#include "sentences.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

/// Layer norms, gated experts, and an output projection of its own.
struct OtherParts : nn::TransformerParts {
  template <class Mesh, class Parallelism, class T, class MemorySpace>
  using Norm = nn::LayerNorm<Mesh, Parallelism, T, MemorySpace>;
  template <class Mesh, class Parallelism, class T, class MemorySpace>
  using Experts = nn::GatedExperts<Mesh, Parallelism, T, MemorySpace>;
  static constexpr bool has_tied_output = false;
};

struct Split : nn::Parallelism {  // the axis "expert" stands for a model axis
  static constexpr AxisNames tokens = "data", experts = "data", model = "expert", parameters = "data";
};

using Model = nn::Transformer<Grid, Split, OtherParts, double>;
using Side = Model::Side;

Side side(Grid const& grid, int places, int seed) {
  std::vector<int> ids, lengths;
  for (int sentence = 0; sentence < 3 * 2; ++sentence) {
    lengths.push_back((sentence * 3 + seed) % (places + 1));
    for (int place = 0; place < places; ++place) ids.push_back((sentence * 5 + place * 3 + seed) % 7);
  }
  return sentences_of<Side>(grid, 3, ids, lengths);
}

nn::TransformerOptions tiny() {
  nn::TransformerOptions options;
  options.vocabulary = 7;
  options.max_length = 4;
  options.model = 4;
  options.hidden = 3;
  options.heads = 2;
  options.experts = 3;
  options.dropout = {.2, .2, .2};
  return options;
}

}  // namespace

TEST_CASE(
    "layer norms, gated experts, an output projection of its own, dropout: gradients of every parameter, at two of its elements") {
  on_every_grid([](Grid const& grid) {
    Model model(grid, tiny(), 4);
    Side const source = side(grid, 3, 2), target = side(grid, 4, 1);
    nn::RandomStream const random{6, 1 << 16};
    double const words = static_cast<double>(sum(target.real));
    auto const loss = [&] {
      auto const output = model(source, target, random);
      return collected(nn::cross_entropy(output.logits, target.ids, words, .1, .01))[0] +
             .1 * collected(output.balance_loss)[0];
    };
    Tape tape;
    auto const output = model(tape, source, target, random);
    auto const recorded = nn::cross_entropy(output.logits, target.ids, words, .1, .01) + output.balance_loss * .1;
    tape.backward(recorded);
    CHECK(collected(recorded.value())[0] == doctest::Approx(loss()).epsilon(1e-13));
    int number = 0;
    model.for_each_parameter([&](auto const& parameter) {
      ++number;
      INFO("parameter ", number, ", ", parameter.value.name());
      REQUIRE(parameter.has_gradient());
      auto const gradient = collected(parameter.gradient);
      auto const size = static_cast<std::size_t>(parameter.value.size());
      for (std::size_t position : {size / 3, size - 1}) {
        double const step = 1e-5;
        add_to_element(parameter.value, position, step);
        double const above = loss();
        add_to_element(parameter.value, position, -2 * step);
        double const below = loss();
        add_to_element(parameter.value, position, step);
        CHECK(std::abs(gradient[position] - (above - below) / (2 * step)) < 1e-8);
      }
    });
    // beside those of the paper's parts: the projection, a bias for each of 12 norms, a third matrix for each of 2
    // mixtures
    CHECK(number == 49 + 12 + 2);
  });
}
