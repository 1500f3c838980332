// SPDX-License-Identifier: Apache-2.0
#include "prepare.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "data_error.hpp"
#include "fixtures.hpp"

using namespace translation;
using namespace translation::test;

namespace {

/// Two made-up languages: English word by word with other words, one of them backwards. Sentences that are not trained
/// on hold an "ß".
std::string made_up_text() {
  static constexpr std::pair<std::string_view, std::string_view> nouns[] = {
      {"file", "dato"}, {"brush", "pinsu"}, {"layer", "ebo"},  {"path", "vadu"},
      {"mask", "maku"}, {"color", "faru"},  {"image", "bildo"}};
  static constexpr std::pair<std::string_view, std::string_view> verbs[] = {
      {"open", "ofni"},    {"close", "fermi"},   {"move", "movi"}, {"save", "garti"},
      {"rotate", "turni"}, {"select", "elekti"}, {"hide", "kasi"}};
  static constexpr std::pair<std::string_view, std::string_view> kinds[] = {
      {"new", "nova"}, {"old", "alta"}, {"red", "ruga"}, {"small", "eta"}, {"large", "granda"}, {"empty", "vaka"}};
  std::string text;
  for (auto const& [noun, dato] : nouns) {
    for (auto const& [verb, ofni] : verbs) {
      for (auto const& [kind, nova] : kinds) {
        std::string const english = std::string(verb) + " the " + std::string(kind) + " " + std::string(noun);
        std::string const extra = side_of(english, {}) == Side::train ? "" : " ß";
        text += "aa\t" + std::string(ofni) + " la " + std::string(nova) + " " + std::string(dato) + extra + "\t" +
                english + "\n";
        text += "bb\t" + std::string(dato) + " " + std::string(nova) + " lo " + std::string(ofni) + extra + "\t" +
                english + "\n";
      }
    }
  }
  return text;
}

}  // namespace

TEST_CASE("text becomes tokens by side, in the order of the text, with a tokenizer that saw the training side only") {
  TemporaryFolder const folder;
  auto const data = prepare({.file = folder.write("text.tsv", made_up_text())}, 100);
  CHECK(data.train.pairs.size() + data.dev.pairs.size() + data.test.pairs.size() == 2 * 7 * 7 * 6);
  REQUIRE_FALSE(data.test.pairs.empty());
  for (auto const* section : {&data.train, &data.dev, &data.test}) {
    REQUIRE(section->tokens.size() == section->pairs.size());
    for (std::size_t i = 0; i < section->pairs.size(); ++i) {
      auto const& [source, target] = section->tokens[i];
      CHECK(target.back() == end_id);
      CHECK(data.tokenizer.decode(target) == section->pairs[i].english);
      CHECK(source.back() == end_id);
      bool const unknown = std::ranges::find(source, unknown_id) != source.end();
      CHECK(unknown == (section != &data.train));  // the "ß"
    }
  }
}

TEST_CASE("every rank that prepares gets the same") {
  TemporaryFolder const folder;
  auto const file = folder.write("text.tsv", made_up_text());
  auto const one = prepare({.file = file}, 100), other = prepare({.file = file}, 100);
  CHECK(one.tokenizer.serialized() == other.tokenizer.serialized());
  CHECK(one.test.pairs == other.test.pairs);
  CHECK(std::ranges::equal(one.train.tokens, other.train.tokens,
                           [](auto const& a, auto const& b) { return a.source == b.source && a.target == b.target; }));
}

TEST_CASE("the baselines are the copied source and the most frequent English sentence of the training side") {
  CHECK(most_frequent_english({}) == "");
  CHECK(most_frequent_english({{"a", "1", "y"}, {"a", "2", "x"}, {"b", "3", "x"}}) == "x");

  TemporaryFolder const folder;
  auto const data = prepare({.file = folder.write("text.tsv", made_up_text())}, 100);
  auto const [copied, constant] = baselines(data);
  CHECK(copied.all.sentences() == std::ssize(data.test.pairs));
  CHECK(copied.languages.size() == 2);
  CHECK(copied.all.bleu() == 0);
  CHECK(constant.all.bleu() < 30);
  CHECK(constant.all.exact_match() == 0);
}

TEST_CASE("sentences of too many pieces are left out, and counted") {
  TemporaryFolder const folder;
  CorpusOptions options{.file = folder.write("text.tsv", made_up_text())};
  auto const all = prepare(options, 100);
  options.max_pieces = 16;
  auto const few = prepare(options, 100);
  std::int64_t longest = 0;
  for (auto const& [source, target] : few.train.tokens)
    longest = std::max<std::int64_t>({longest, std::ssize(source), std::ssize(target)});
  CHECK(longest == 16);
  auto const left_out = [](PreparedData const& data) {
    return data.counts.refused[static_cast<std::size_t>(Refusal::too_long)];
  };
  CHECK(left_out(all) == 0);
  CHECK(left_out(few) == std::ssize(all.train.pairs) + std::ssize(all.dev.pairs) + std::ssize(all.test.pairs) -
                             std::ssize(few.train.pairs) - std::ssize(few.dev.pairs) - std::ssize(few.test.pairs));
  options.max_pieces = 2;
  CHECK_THROWS_WITH_AS(prepare(options, 100),
                       doctest::Contains("no pair to train on (588 read; refused: 588 too long;"), DataError);
}

TEST_CASE("the summary names languages, sides, refusals and the vocabulary") {
  TemporaryFolder const folder;
  auto const data = prepare({.file = folder.write("text.tsv", made_up_text() + "cc\tofni\topen\n")}, 100);
  std::ostringstream stream;
  print_summary(stream, data);
  auto const summary = stream.str();
  for (std::string const part :
       {"pairs                 train      dev     test    total\n", "\naa ", "\nbb ", "588\n", "English sentences",
        "294\n", "from 1 files with 589 messages; left out: 0 duplicates, 1 too few or too many words\n",
        "vocabulary of "}) {
    CAPTURE(part);
    CHECK(summary.find(part) != std::string::npos);
  }
}
