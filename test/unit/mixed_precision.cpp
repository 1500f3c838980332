// SPDX-License-Identifier: Apache-2.0
// Layers whose activations and parameters are BFloat16, trained with float copies of the parameters, beside the same
// layers in float.
#include <cstdint>
#include <type_traits>
#include <vector>

#include <gshard/nn/attention.hpp>
#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/feed_forward.hpp>
#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/rms_norm.hpp>
#include <gshard/optim.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

constexpr std::int64_t groups = 4, places = 8, vocabulary = 16, model_size = 32;

/// One encoder block between an embedding and logits by the same table.
template <class T>
struct Block {
  Parameter<ShardedTensor<Grid, Spec<_, _>, T>> table;
  nn::RmsNorm<Grid, nn::Parallelism, T> first;
  nn::Attention<Grid, nn::Parallelism, T> attention;
  nn::LayerNorm<Grid, nn::Parallelism, T> second;
  nn::FeedForward<Grid, nn::Parallelism, T> feed_forward;

  Block(Grid const& grid, nn::Initializer initializer)
      : table(initializer.normal<ShardedTensor<Grid, Spec<_, _>, T>>(grid, {vocabulary, model_size}, 1, "table")),
        first(grid, initializer, model_size),
        attention(grid, initializer, model_size, 4),
        second(grid, initializer, model_size),
        feed_forward(grid, initializer, model_size, 64) {}

  auto operator()(Tape& tape, Integers<Spec<"data", _>> const& ids, Integers<Spec<"data", _>> const& lengths) {
    auto const rows = tape.watch(table);
    auto const x = nn::embedding(rows, ids);
    auto const normed = first(x);
    auto const seen = eval(x + attention(normed, normed, lengths, nn::Masking::causal));
    auto const y = eval(seen + feed_forward(second(seen)));
    return eval(eval(einsum<"gsm,vm->gsv">(y, rows)) * 0.125);
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(table);
    first.for_each_parameter(visit);
    attention.for_each_parameter(visit);
    second.for_each_parameter(visit);
    feed_forward.for_each_parameter(visit);
  }
};

/// The losses of twenty steps in which the block learns to name the id before each.
template <class T, class Optimizer>
std::vector<double> losses(Grid const& grid, double rate) {
  std::vector<int> ids, before;
  for (int i = 0; i < groups * places; ++i) {
    ids.push_back((i * i + 3 * i) % static_cast<int>(vocabulary));
    before.push_back(i % places == 0 ? -1 : ids[static_cast<std::size_t>(i - 1)]);
  }
  auto const input = integers<Spec<"data", _>>(grid, {groups, places}, ids);
  auto const target = integers<Spec<"data", _>>(grid, {groups, places}, before);
  auto const lengths = integers<Spec<"data", _>>(grid, {groups, 1}, std::vector<int>(groups, places));
  Block<T> block(grid, nn::Initializer(7));
  Optimizer optimizer({.max_norm = 1});
  std::vector<double> result;
  for (int step = 0; step < 20; ++step) {
    Tape tape;
    auto const loss = nn::cross_entropy(block(tape, input, lengths), target, groups * (places - 1), 0.1, 1e-4);
    tape.backward(loss);
    optimizer.step(block, rate);
    result.push_back(sum(loss.value()));
  }
  return result;
}

}  // namespace

TEST_CASE("BFloat16 activations and parameters with float copies learn as float ones do") {
  on_every_grid([](Grid const& grid) {
    auto const check = [&](std::vector<double> const& exact, std::vector<double> const& rounded) {
      for (std::size_t step = 0; step < exact.size(); ++step) {
        INFO("step ", step);
        CHECK(rounded[step] == doctest::Approx(exact[step]).epsilon(.02));
      }
      CHECK(exact.back() < .8 * exact.front());
    };
    check(losses<float, optim::AdamW<>>(grid, .002), losses<BFloat16, optim::AdamW<optim::MasterWeights>>(grid, .002));
    check(losses<float, optim::Adafactor<>>(grid, .01),
          losses<BFloat16, optim::Adafactor<optim::MasterWeights, optim::SplitOver<"data">>>(grid, .01));
  });
}
