// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/transformer/transformer.hpp>
#include <gshard/optim/adamw.hpp>

#include "dense_reference.hpp"
#include "sentences.hpp"

/// Ten training steps of a small model in float, with random routing and dropout, on any layout: losses, norms and
/// balance losses of each step, and the final parameters.
namespace gshard::test {

using Cube = Mesh<Axis<"data">, Axis<"expert">, Axis<"model">>;

struct Training {
  std::vector<double> figures;  ///< of each step: the loss, the norm of the gradients, the balance loss
  std::vector<std::vector<double>> parameters;
};

inline nn::TransformerOptions small_shape() {
  nn::TransformerOptions options;
  options.vocabulary = 29;
  options.max_length = 6;
  options.model = 16;
  options.hidden = 24;
  options.heads = 4;
  options.experts = 6;
  options.gate.capacity_factor = 1.5;
  options.dropout = {.1, .1, .1};
  return options;
}

/// Sentences (G, 3) of 1 to 6 words.
template <class Side>
Side some_sentences(Cube const& mesh, std::int64_t groups, int seed) {
  constexpr int places = 6;
  std::vector<int> ids, lengths;
  for (int sentence = 0; sentence < static_cast<int>(groups) * 3; ++sentence) {
    lengths.push_back((sentence * 5 + seed) % places + 1);
    for (int place = 0; place < places; ++place) ids.push_back((sentence * 11 + place * 7 + seed * (place + 1)) % 29);
  }
  return sentences_of<Side>(mesh, groups, ids, lengths);
}

template <class Parallelism>
Training train(Cube const& mesh) {
  using Model = nn::Transformer<Cube, Parallelism>;
  using Side = typename Model::Side;
  Model model(mesh, small_shape(), 4);
  optim::AdamW optimizer({.max_norm = 1});
  Training result;
  for (int step = 0; step < 10; ++step) {
    Side const source = some_sentences<Side>(mesh, 8, 3 * step);
    Side const target = some_sentences<Side>(mesh, 8, 3 * step + 1);
    Side const spoken = some_sentences<Side>(mesh, 8, 3 * step + 1);
    Tape tape;
    auto const output = model(tape, source, target, nn::RandomStream{6, static_cast<std::uint64_t>(step) << 16});
    auto const loss = nn::cross_entropy(output.logits, spoken.ids, static_cast<double>(sum(target.real)), .1, 1e-3);
    tape.backward(eval(loss + output.balance_loss * .01));
    result.figures.push_back(collected(loss.value())[0]);
    result.figures.push_back(optimizer.step(model, .01));
    result.figures.push_back(collected(output.balance_loss.value())[0]);
  }
  model.for_each_parameter([&](auto const& parameter) { result.parameters.push_back(collected(parameter.value)); });
  return result;
}

/// The figures of rank 0 alone, with nothing split. To be called by all ranks.
std::vector<double> const& figures_alone();

inline double largest_relative_difference(std::vector<double> const& found, std::vector<double> const& right) {
  double largest = 0;
  for (std::size_t i = 0; i < right.size(); ++i)
    largest = std::max(largest, std::abs(found[i] - right[i]) / std::abs(right[i]));
  return largest;
}

/// Trains on each mesh (data, expert, model) and compares with one rank alone; on the last of them twice, and the
/// second run is the first one bit for bit.
template <class Parallelism>
void check_layout(std::string const& name, std::vector<std::array<int, 3>> const& meshes) {
  Training last;
  for (auto const& sizes : meshes) {
    Cube const mesh(runtime(), sizes);
    INFO(name, " on ", mesh.text());
    last = train<Parallelism>(mesh);
    REQUIRE(last.figures.size() == figures_alone().size());
    double const difference = largest_relative_difference(last.figures, figures_alone());
    if (rank() == 0) MESSAGE(name, " on ", mesh.text(), ": largest relative difference ", difference);
    CHECK(difference < 1e-5);
  }
  Training const again = train<Parallelism>(Cube(runtime(), meshes.back()));
  CHECK(again.figures == last.figures);
  CHECK(again.parameters == last.parameters);
}

/// All ways to write this run's number of ranks as a product over the axes whose place is marked.
inline std::vector<std::array<int, 3>> meshes_over(bool data, bool expert, bool model) {
  std::vector<std::array<int, 3>> result;
  int const count = ranks();
  for (int d = 1; d <= count; ++d)
    for (int e = 1; d * e <= count; ++e) {
      if (count % (d * e) != 0) continue;
      std::array<int, 3> const sizes{d, e, count / (d * e)};
      if ((data || d == 1) && (expert || e == 1) && (model || sizes[2] == 1)) result.push_back(sizes);
    }
  return result;
}

}  // namespace gshard::test
