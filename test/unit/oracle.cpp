// SPDX-License-Identifier: Apache-2.0
// The Transformer against test/oracle/transformer.py, which computes it from the paper's formulas with NumPy: losses,
// logits and all gradients.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/transformer/transformer.hpp>

#include "layer_test.hpp"
#include "sentences.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

/// The lines of the result file: a name and numbers.
std::map<std::string, Values> read_oracle() {
  std::map<std::string, Values> result;
  std::ifstream file(std::filesystem::path(__FILE__).parent_path().parent_path() / "oracle" / "transformer.csv");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string field;
    std::getline(fields, field, ',');
    Values& values = result[field];
    while (std::getline(fields, field, ',')) values.push_back(std::stod(field));
  }
  return result;
}

/// The names of the parameters as the model visits them.
std::vector<std::string> parameter_names() {
  std::vector<std::string> names{"embedding", "positions"};
  auto const attention = [&](std::string const& block, std::string const& norm, std::string const& name) {
    names.push_back(block + norm);
    for (char const* weight : {".wq", ".wk", ".wv", ".wo"}) names.push_back(block + name + weight);
  };
  for (std::string const side : {"encoder", "decoder"}) {
    for (int layer = 0; layer < 2; ++layer) {
      std::string const block = side + std::to_string(layer);
      attention(block, ".norm", ".attention");
      if (side == "decoder") attention(block, ".cross.norm", ".cross");
      for (char const* weight : {".inner.norm", ".inner.gate", ".inner.wi", ".inner.wo"})
        if (layer == 1 || std::string(weight) != ".inner.gate") names.push_back(block + weight);
    }
    names.push_back(side + ".norm");
  }
  return names;
}

/// Cubes modulo a prime, in [-1, 1): `weight` of the script.
double weight(std::int64_t number, std::int64_t position) {
  std::int64_t const base = 1361 * number + position + 1;
  return 2 * (static_cast<double>(base * base * base % 65537) / 65537) - 1;
}
double gain(std::int64_t number, std::int64_t position) { return 1 + weight(number, position) / 4; }
double scaled_weight(std::int64_t number, std::int64_t position) { return 0.6 * weight(number, position); }

struct SecondChoicesGo : nn::TransformerParts {
  using Gate = nn::TopKGate<2>;
};

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
/// Heads, hidden units and the vocabulary split over one axis, weights kept in pieces over the other.
struct ByModel : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "expert", parameters = "data";
};

nn::TransformerOptions shape() {
  nn::TransformerOptions options;
  options.vocabulary = 11;
  options.max_length = 7;
  options.model = 6;
  options.hidden = 10;
  options.heads = 2;
  options.head_size = 4;
  options.experts = 5;
  options.gate.capacity_factor = 1.5;
  return options;
}

/// The largest difference, as a share of the largest number.
double relative_difference(Values const& found, Values const& right) {
  REQUIRE(found.size() == right.size());
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    largest = std::max(largest, std::abs(right[i]));
    worst = std::max(worst, std::abs(found[i] - right[i]));
  }
  return worst / largest;
}

template <class Parallelism, class T>
void compare_with_oracle(Grid const& grid, double tolerance) {
  using Model = nn::Transformer<Grid, Parallelism, SecondChoicesGo, T>;
  using Side = typename Model::Side;
  auto const right = read_oracle();
  REQUIRE(!right.empty());
  auto const names = parameter_names();

  Model model(grid, shape(), 1);
  std::int64_t number = 0;
  model.for_each_parameter([&](auto const& parameter) {
    fill_by_position(parameter.value, number++,
                     std::remove_cvref_t<decltype(parameter.value)>::rank == 1 ? gain : scaled_weight);
  });
  REQUIRE(number == std::ssize(names));

  auto const side = [&](std::string const& ids, std::string const& lengths) {
    auto const integers = [&](std::string const& name) {
      return std::vector<int>(right.at(name).begin(), right.at(name).end());
    };
    return sentences_of<Side>(grid, 4, integers(ids), integers(lengths));
  };
  Side const source = side("source ids", "source lengths");
  Side const target = side("target ids", "target lengths");
  Side const spoken = side("spoken ids", "target lengths");
  Tape tape;
  auto const output = model(tape, source, target, nn::RandomStream{});
  auto const cross_entropy = nn::cross_entropy(output.logits, spoken.ids, static_cast<double>(sum(spoken.real)), .1);
  tape.backward(cross_entropy + output.balance_loss * .1);

  auto const compare = [&](std::string const& name, Values const& found) {
    INFO(name);
    CHECK(relative_difference(found, right.at(name)) < tolerance);
  };
  compare("cross entropy", collected(cross_entropy.value()));
  compare("balance loss", collected(output.balance_loss.value()));
  Values const logits = collected(output.logits.value());
  Values of_words;
  std::size_t const vocabulary = logits.size() / right.at("target ids").size();
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (right.at("target ids")[i / vocabulary] >= 0) of_words.push_back(logits[i]);
  compare("logits of words", of_words);
  auto name = names.begin();
  model.for_each_parameter(
      [&](auto const& parameter) { compare("gradient " + *name++, collected(parameter.gradient)); });
}

}  // namespace

// The file has 12 digits.
TEST_CASE("losses, logits and every gradient are those of NumPy, in double") {
  on_every_grid([](Grid const& grid) { compare_with_oracle<ByExpert, double>(grid, 1e-10); });
}

TEST_CASE("losses, logits and every gradient are those of NumPy, in double, with the model split as well") {
  on_every_grid([](Grid const& grid) { compare_with_oracle<ByModel, double>(grid, 1e-10); });
}

// Half a unit in the last place of a float is 6e-8. A gradient comes out of some 80 operations in a row, on sums of up
// to 14 terms; of their roundings, of either sign, a few tens add up. 1e-5 is 170 of them; the largest difference found
// is 8.6e-7. No gates are closer than 4e-4, so the choices are the same.
TEST_CASE("losses, logits and every gradient are those of NumPy, in float") {
  on_every_grid([](Grid const& grid) { compare_with_oracle<ByExpert, float>(grid, 1e-5); });
}
