// SPDX-License-Identifier: Apache-2.0
// Decoding word by word with caches against the decoder on whole sentences.
#include <algorithm>
#include <cstdint>
#include <vector>

#include <mpi.h>

#include <gshard/nn/transformer/decoding.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard/gather.hpp>

#include "layer_test.hpp"
#include "sentences.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
/// Heads and hidden units split over one axis, weights kept in pieces over the other.
struct ByModel : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "expert", parameters = "data";
};
template <class Parallelism>
using ModelOf = nn::Transformer<Grid, Parallelism, nn::TransformerParts, double>;
using Model = ModelOf<ByExpert>;
using Words = Model::Side::Integers;

constexpr int vocabulary = 7;

/// Slots for all choices: a word's logits do not depend on which other words its group has.
nn::TransformerOptions shape() {
  nn::TransformerOptions options;
  options.vocabulary = vocabulary;
  options.max_length = 6;
  options.model = 4;
  options.hidden = 3;
  options.heads = 2;
  options.head_size = 3;
  options.encoder_layers = 2;
  options.decoder_layers = 4;
  options.experts = 3;
  options.gate.inference_capacity_factor = 3;
  return options;
}

/// Sentences of some words each, as ids and lengths.
struct Text {
  std::int64_t groups;
  std::size_t places;
  std::vector<int> ids;
  std::vector<int> lengths;

  Text(std::int64_t group_count, int sentences, int place_count, int seed)
      : groups(group_count), places(static_cast<std::size_t>(place_count)) {
    for (int sentence = 0; sentence < groups * sentences; ++sentence) {
      lengths.push_back((sentence * 3 + seed) % (place_count + 1));
      for (int place = 0; place < place_count; ++place)
        ids.push_back((sentence * 5 + place * 3 + place * place + seed) % vocabulary);
    }
  }

  template <class AnyModel = Model>
  auto on(Grid const& grid) const {
    return sentences_of<typename AnyModel::Side>(grid, groups, ids, lengths);
  }

  /// The words at one place, -1 where a sentence has ended.
  template <class AnyModel = Model>
  auto words(Grid const& grid, std::size_t place) const {
    using Integers = typename AnyModel::Side::Integers;
    std::vector<int> result;
    for (std::size_t sentence = 0; sentence < lengths.size(); ++sentence)
      result.push_back(static_cast<int>(place) < lengths[sentence] ? ids[sentence * places + place] : -1);
    return from_vector<Integers>(grid, {groups, static_cast<std::int64_t>(lengths.size()) / groups}, result);
  }

  /// The logits at one place of a whole (G, N * L, V), of the sentences that have it; or of a step (G, N, V).
  Values at_place(Values const& logits, std::size_t place, bool whole) const {
    Values result;
    for (std::size_t sentence = 0; sentence < lengths.size(); ++sentence) {
      if (static_cast<int>(place) >= lengths[sentence]) continue;
      auto const first =
          logits.begin() + static_cast<std::ptrdiff_t>((whole ? sentence * places + place : sentence) * vocabulary);
      result.insert(result.end(), first, first + vocabulary);
    }
    return result;
  }
};

template <class Parallelism>
void compare_steps_with_whole(std::int64_t groups) {
  using AnyModel = ModelOf<Parallelism>;
  Text const source(groups, 3, 4, 1);
  Text const target(groups, 3, 5, 2);
  on_every_grid([&](Grid const& grid) {
    INFO(groups, " groups");
    AnyModel model(grid, shape(), 4);
    auto const of_source = source.on<AnyModel>(grid);
    auto const whole = collected(model(of_source, target.on<AnyModel>(grid)).logits);
    nn::Decoder decoder(model, of_source, 5);
    for (std::size_t place = 0; place < target.places; ++place) {
      INFO("place ", place);
      CHECK(decoder.place() == static_cast<std::int64_t>(place));
      auto const logits = collected(decoder.step(target.words<AnyModel>(grid, place)));
      CHECK(difference(target.at_place(logits, place, false), target.at_place(whole, place, true), 1e-13) == "");
    }
  });
}

}  // namespace

TEST_CASE("each step gives the logits of the whole decoder at that place, for sentences of 0 to 5 words") {
  for (std::int64_t groups : {1, 3, 8}) compare_steps_with_whole<ByExpert>(groups);
}

TEST_CASE("each step gives the logits of the whole decoder at that place, with heads split and weights in pieces") {
  for (std::int64_t groups : {1, 3}) compare_steps_with_whole<ByModel>(groups);
}

TEST_CASE("attention to a cache in BFloat16 sums in float: the float result of the same numbers, rounded once") {
  on_every_grid([](Grid const& grid) {
    auto const attend = [&]<class T>(T) {
      using Places = ShardedTensor<Grid, Spec<"data,expert", _, _, _, _>, T>;
      using Queries = ShardedTensor<Grid, Spec<"data,expert", _, _, _>, T>;
      nn::AttentionCache<Places> const cache{filled<Places>(grid, {5, 3, 40, 2, 3}, 1),
                                             filled<Places>(grid, {5, 3, 40, 2, 3}, 2)};
      using Real = ShardedTensor<Grid, Spec<"data,expert", _>, int>;
      auto const real = filled<Real>(grid, {5, 3}, 0,
                                     [](std::int64_t, std::int64_t position) { return position % 4 == 0 ? 0. : 1.; });
      return collected(nn::attend_cached(filled<Queries>(grid, {5, 3, 2, 3}, 3), cache, real, {3, 40, 37}));
    };
    Values right = attend(0.f);
    for (double& value : right) value = static_cast<float>(BFloat16(static_cast<float>(value)));
    CHECK(difference(attend(BFloat16{}), right) == "");
    CHECK(right[0] == 0);
    CHECK(right[6] != 0);
  });
}

TEST_CASE(
    "hypotheses that go on from one another's words: the logits of the whole decoder on the words that each has in the end") {
  constexpr std::int64_t hypotheses = 3;
  constexpr std::size_t max_length = 5;
  for (std::int64_t groups : {1, 4}) {
    Text const source(groups, 2, 4, 1);
    std::size_t const count = source.lengths.size() * hypotheses;
    Text repeated(groups, 2 * static_cast<int>(hypotheses), 4, 1);
    for (std::size_t sentence = 0; sentence < count; ++sentence) {
      repeated.lengths[sentence] = source.lengths[sentence / hypotheses];
      for (std::size_t place = 0; place < source.places; ++place)
        repeated.ids[sentence * source.places + place] = source.ids[sentence / hypotheses * source.places + place];
    }
    on_every_grid([&](Grid const& grid) {
      Model model(grid, shape(), 4);
      nn::Decoder decoder(model, source.on(grid), max_length, hypotheses);
      std::vector<std::vector<int>> histories(count);
      for (std::size_t place = 0; place < max_length; ++place) {
        INFO("place ", place);
        // At first each goes on from itself; later from any of its sentence's hypotheses, and the last step names none
        // again.
        std::vector<int> words, parents;
        auto const before = histories;
        for (std::size_t i = 0; i < count; ++i) {
          std::size_t const sentence = i / hypotheses;
          std::size_t const parent =
              place == 0 || place + 1 == max_length ? i : sentence * hypotheses + (i * i + place) % hypotheses;
          parents.push_back(static_cast<int>(parent % (2 * hypotheses)));
          words.push_back(static_cast<int>((3 * i + 2 * place) % vocabulary));
          histories[i] = before[parent];
          histories[i].push_back(words.back());
        }
        auto const tensor = [&](std::vector<int> const& values) {
          return from_vector<Words>(grid, {groups, 2 * hypotheses}, values);
        };
        bool const alone = place == 0 || place + 1 == max_length;
        auto const logits = alone ? decoder.step(tensor(words)) : decoder.step(tensor(words), tensor(parents));

        Text target = repeated;
        target.places = place + 1;
        target.ids.clear();
        for (auto const& history : histories) target.ids.insert(target.ids.end(), history.begin(), history.end());
        std::fill(target.lengths.begin(), target.lengths.end(), static_cast<int>(place + 1));
        auto const whole = collected(model(repeated.on(grid), target.on(grid)).logits);
        CHECK(difference(collected(logits), target.at_place(whole, place, true), 1e-13) == "");
      }
    });
  }
}

TEST_CASE(
    "E15: sentences of 3 and 5 words on different ranks take 5 steps everywhere, the early ones without words, and get the same words as alone") {
  std::vector<int> const ends{3, 5};
  auto const decode = [&](Grid const& grid, std::vector<int> const& lengths) {
    auto const groups = static_cast<std::int64_t>(lengths.size());
    Model model(grid, shape(), 4);
    Text const source(groups, 1, 4, 3);
    nn::Decoder decoder(model, source.on(grid), 6);
    std::vector<std::vector<std::int64_t>> result(lengths.size());
    std::vector<int> words(lengths.size(), 1);
    while (std::ranges::any_of(words, [](int word) { return word >= 0; })) {
      auto const chosen = to_vector(argmax<-1>(decoder.step(from_vector<Words>(grid, {groups, 1}, words))));
      for (std::size_t i = 0; i < lengths.size(); ++i) {
        if (words[i] >= 0) result[i].push_back(chosen[i]);
        words[i] = std::ssize(result[i]) < lengths[i] ? static_cast<int>(chosen[i]) : -1;
      }
    }
    CHECK(decoder.place() == *std::ranges::max_element(lengths));
    return result;
  };
  Runtime alone(MPI_COMM_SELF);
  Grid const one(alone, {1, 1});
  auto const right = decode(one, ends);
  on_every_grid([&](Grid const& grid) { CHECK(decode(grid, ends) == right); });
}

TEST_CASE("a decoder refuses what its model and its caches have no place for, on all ranks") {
  on_every_grid([](Grid const& grid) {
    Model model(grid, shape(), 4);
    Text const source(2, 3, 4, 1);
    CHECK_THROWS_WITH_AS(nn::Decoder(model, source.on(grid), 7),
                         "option max_length = 7: give 1 to 6, the model's places", OptionError);
    CHECK_THROWS_WITH_AS(nn::Decoder(model, source.on(grid), 6, 0), "option hypotheses = 0: give 1 or more",
                         OptionError);
    nn::Decoder decoder(model, source.on(grid), 1, 2);
    Words const few(grid, {2, 3}, "words");
    CHECK_THROWS_WITH_AS(
        decoder.step(few),
        doctest::Contains("decoder: dimension 1 of words 'words' (2, 3) has to be 6, its sentences times hypotheses"),
        ExtentError);
    Words const words(grid, {2, 6});
    decoder.step(words);
    CHECK_THROWS_WITH_AS(decoder.step(words), "decoder: a step past the last of 1 places", StateError);
  });
}

TEST_CASE(
    "on 16 abstract devices the work of a step grows by one key and one value a place, and each step sends the same: two all-to-alls a mixture") {
  using Devices = Mesh<Axis<"data">, Axis<"expert">>;
  using Planned = nn::Transformer<Devices, ByExpert, nn::TransformerParts, float, AbstractSpace>;
  AbstractRuntime machine;
  Devices const mesh(machine, {4, 4});
  constexpr std::int64_t groups = 32, sentences = 5, words = 9, heads = 4, head_size = 8, layers = 4;
  Planned model(mesh,
                {.vocabulary = 100,
                 .max_length = 20,
                 .model = 16,
                 .hidden = 24,
                 .heads = heads,
                 .head_size = head_size,
                 .decoder_layers = layers,
                 .experts = 8},
                1);
  using Integers = Planned::Side::Integers;
  auto const integers = [&](std::int64_t columns) { return Integers(mesh, {groups, columns}); };
  nn::Decoder decoder(
      model,
      {integers(sentences * words), integers(sentences * words), integers(sentences * words), integers(sentences)}, 20);
  auto& ledger = machine.ledger();
  std::int64_t before = 0;
  for (int place = 0; place < 20; ++place) {
    ledger.clear();
    decoder.step(integers(sentences));
    if (place > 0) CHECK(ledger.flops() - before == 4 * (groups / 16) * sentences * heads * head_size * layers);
    CHECK(ledger.calls(Collective::all_to_all) == 2 * (layers / 2));
    CHECK(ledger.calls(Collective::all_gather) == 0);
    // The losses of the gates and the check of the words are single numbers.
    CHECK(ledger.bytes_sent(Collective::all_reduce) <=
          ledger.calls(Collective::all_reduce) * 2 * static_cast<std::int64_t>(sizeof(std::int64_t)));
    before = ledger.flops();
  }
}
