// SPDX-License-Identifier: Apache-2.0
// Beam search by hand-made probabilities.
#include "beam.hpp"

#include <cmath>
#include <map>

#include "mpi_test.hpp"
#include "tokenizer.hpp"

using namespace translation;

namespace {

constexpr std::int32_t a = 4, b = 5, c = 6;
using Sentence = std::vector<std::int32_t>;
using Next = std::vector<std::pair<std::int32_t, double>>;  ///< words and their probabilities, the likeliest first

/// Runs a search in a language where `next` says what follows each beginning.
struct Language {
  std::map<Sentence, Next> next;
  int steps = 0;

  Sentence best(BeamOptions const& options, std::int64_t longest) {
    BeamSearch search(options, longest);
    std::vector<Sentence> beginnings(static_cast<std::size_t>(options.hypotheses));
    for (steps = 0; !search.is_done(); ++steps) {
      std::vector<Sentence> grown;
      std::vector<int> words;
      std::vector<float> log_probabilities;
      for (std::size_t place = 0; place < beginnings.size(); ++place) {
        grown.push_back(beginnings[static_cast<std::size_t>(search.parents()[place])]);
        if (std::int32_t const word = search.words()[place]; word >= 0 && word != begin_id)
          grown.back().push_back(word);
        Next const choices = next.contains(grown.back()) ? next.at(grown.back()) : Next{};
        for (std::size_t i = 0; i < beginnings.size() + 1; ++i) {
          words.push_back(i < choices.size() ? choices[i].first : 100 + static_cast<int>(i));
          log_probabilities.push_back(static_cast<float>(std::log(i < choices.size() ? choices[i].second : 1e-30)));
        }
      }
      beginnings = grown;
      search.advance(words, log_probabilities);
    }
    return search.best();
  }
};

}  // namespace

TEST_CASE("J7: the penalty of Wu et al., for which the longer of two wins; exponent 0 leaves the probability") {
  BeamOptions const wu;
  double const right[] = {1, 1.096903, 1.188402, 1.275425, 1.358655, 1.438616};
  for (int length = 1; length <= 6; ++length)
    CHECK(length_penalty(wu, length) == doctest::Approx(right[length - 1]).epsilon(1e-6));
  CHECK(-2.0 / length_penalty(wu, 2) == doctest::Approx(-1.823316).epsilon(1e-6));
  CHECK(-2.4 / length_penalty(wu, 6) == doctest::Approx(-1.668270).epsilon(1e-6));
  CHECK(length_penalty({.exponent = 0}, 6) == 1);
  CHECK(length_penalty({.exponent = 1, .offset = 0}, 6) == 6);
}

TEST_CASE("J4: the search goes on when the likeliest word is the end mark, and the longer translation wins") {
  Language language{{{{}, {{end_id, .5}, {a, .4}, {c, .1}}},
                     {{a}, {{b, .95}, {end_id, .05}}},
                     {{a, b}, {{end_id, .95}, {c, .05}}},
                     {{c}, {{end_id, 1}}}}};
  CHECK(language.best({.hypotheses = 2, .exponent = 1, .offset = 0}, 10) == Sentence{a, b});
  CHECK(language.best({.hypotheses = 2, .exponent = 0}, 10) == Sentence{});
  CHECK(language.steps == 1);
}

TEST_CASE("J6: it goes on while the likeliest hypothesis could still win at the longest length") {
  // After three words log p is -1.5; with ten words it could reach -.15, above the -.3 that an end after one word has.
  Language language{{{{}, {{end_id, std::exp(-.3)}, {a, std::exp(-.5)}}},
                     {{a}, {{b, std::exp(-.5)}}},
                     {{a, b}, {{c, std::exp(-.5)}}}}};
  for (Sentence words{a, b, c}; words.size() < 10; words.push_back(a))
    language.next[words] = {{words.size() < 9 ? a : end_id, 1}};
  CHECK(language.best({.hypotheses = 1, .exponent = 1, .offset = 0}, 10) == Sentence{a, b, c, a, a, a, a, a, a});
  // In four words at most it reaches -.375 at best: the search ends after them.
  CHECK(language.best({.hypotheses = 1, .exponent = 1, .offset = 0}, 4) == Sentence{});
  CHECK(language.steps == 3);
}

TEST_CASE("J5, J8: an ended translation stays as it is, and the best of all comes out, of however many hypotheses") {
  Language language{{{{}, {{a, .6}, {b, .4}}},
                     {{a}, {{end_id, .55}, {c, .45}}},
                     {{b}, {{end_id, 1}}},
                     {{a, c}, {{end_id, .9}, {a, .1}}}}};
  // p: "a" .33, "b" .4, "a c" .243
  CHECK(language.best({.hypotheses = 1, .exponent = 0}, 5) == Sentence{a});
  for (std::int64_t hypotheses : {2, 3, 5})
    CHECK(language.best({.hypotheses = hypotheses, .exponent = 0}, 5) == Sentence{b});
}

TEST_CASE("where nothing has ended at the longest length, the likeliest beginning comes out") {
  Language language{{{{}, {{a, .6}, {b, .4}}}, {{a}, {{c, 1}}}, {{b}, {{c, 1}}}}};
  CHECK(language.best({.hypotheses = 2}, 2) == Sentence{a, c});
  CHECK(language.best({.hypotheses = 2}, 0) == Sentence{});
}

TEST_CASE("options and probabilities that are none are refused") {
  double const nan = std::nan(""), infinity = HUGE_VAL;
  std::pair<BeamOptions, std::string> const options[] = {
      {{.hypotheses = 0}, "option hypotheses = 0: give 1 or more"},
      {{.hypotheses = -4}, "option hypotheses = -4: give 1 or more"},
      {{.exponent = nan}, "option exponent = nan: give a finite number"},
      {{.exponent = infinity}, "option exponent = inf: give a finite number"},
      {{.offset = -1}, "option offset = -1: give a finite number of 0 or more"},
  };
  for (auto const& [wrong, message] : options)
    CHECK_THROWS_WITH_AS(BeamSearch(wrong, 5), message.c_str(), gshard::OptionError);

  BeamSearch search({.hypotheses = 1}, 5);
  std::vector<int> const words{a, b};
  CHECK_THROWS_WITH_AS(search.advance(words, std::vector{-1.F}), doctest::Contains("2 words and 1 probabilities"),
                       gshard::ExtentError);
  CHECK_THROWS_WITH_AS(search.advance(words, std::vector{-1.F, static_cast<float>(nan)}),
                       doctest::Contains("the probability of word 5 is nan"), gshard::NonFiniteError);
  // what cannot be is no mistake
  search.advance(words, std::vector{-1.F, static_cast<float>(-infinity)});
  CHECK(search.best() == Sentence{a});
}
