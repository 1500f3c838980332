// SPDX-License-Identifier: Apache-2.0
#include "tokenizer.hpp"

#include <doctest/doctest.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "data_error.hpp"

using namespace translation;

namespace {

/// 400 short lines in small letters, without K and Y.
std::vector<std::string> short_lines() {
  std::vector<std::string> lines;
  for (int i = 0; i < 400; ++i) {
    std::string const words[] = {"the king",  "in yellow", "open the file", "set a path", "we join vexed quiz makers",
                                 "brown dogs"};
    lines.push_back(words[i % 6] + " " + words[i / 6 % 6]);
  }
  return lines;
}

Tokenizer special_model(std::unordered_map<std::string, std::string> extra) {
  extra.insert({{"vocab_size", "300"}, {"hard_vocab_limit", "false"}, {"minloglevel", "3"}});
  std::string model;
  REQUIRE(sentencepiece::SentencePieceTrainer::Train(extra, short_lines(), &model).ok());
  return Tokenizer::from_serialized(model);
}

}  // namespace

TEST_CASE("text comes back from its ids, but for blanks and unknown characters") {
  auto const tokenizer = Tokenizer::train(short_lines(), 60);
  std::pair<std::string, std::string> const cases[] = {
      {"the king in yellow", "the king in yellow"},
      {" the  king ", "the king"},
      {"the King in Yellow", "the  ⁇ ing in  ⁇ ellow"},
      {"", ""},
  };
  for (auto const& [text, back] : cases) CHECK(tokenizer.decode(tokenizer.encode(text)) == back);
  // A second round grows: decode(encode(.)) has no fixed point, so no score may be taken against it.
  auto const twice = tokenizer.decode(tokenizer.encode("the  ⁇ ing"));
  CHECK(twice.size() > std::string("the  ⁇ ing").size());
}

TEST_CASE("ids lie inside the vocabulary and hold no marks; decoding stops at the end mark") {
  auto const tokenizer = Tokenizer::train(short_lines(), 60);
  CHECK(tokenizer.vocabulary_size() <= 60);
  auto ids = tokenizer.encode("open the file");
  for (auto const id : ids) {
    CHECK(id > end_id);
    CHECK(id < tokenizer.vocabulary_size());
  }
  auto const unknown = tokenizer.encode("K");
  CHECK(std::ranges::find(unknown, unknown_id) != unknown.end());

  ids.insert(ids.begin(), begin_id);
  ids.push_back(end_id);
  auto const more = tokenizer.encode("a path");
  ids.insert(ids.end(), more.begin(), more.end());
  ids.push_back(pad_id);
  CHECK(tokenizer.decode(ids) == "open the file");
}

TEST_CASE("an id outside the vocabulary is refused, not decoded as an empty text") {
  auto const tokenizer = Tokenizer::train(short_lines(), 60);
  auto ids = tokenizer.encode("open the file");
  auto const size = static_cast<std::int32_t>(tokenizer.vocabulary_size());
  for (std::int32_t const id : {size, std::numeric_limits<std::int32_t>::max(), -1}) {
    ids.back() = id;
    CHECK_THROWS_WITH_AS(
        tokenizer.decode(ids),
        gshard::detail::concat("tokenizer: ", id, " is no id of a vocabulary of ", size, " pieces").c_str(), DataError);
  }
  ids.back() = size - 1;
  CHECK(tokenizer.decode(ids) != "");
}

TEST_CASE("a small text gives a small vocabulary instead of an end of the program") {
  auto const tokenizer = Tokenizer::train(short_lines(), 5000);
  CHECK(tokenizer.vocabulary_size() > 30);
  CHECK(tokenizer.vocabulary_size() < 500);
  CHECK(tokenizer.decode(tokenizer.encode("the king")) == "the king");
}

TEST_CASE("the same lines give the same model, and a model can be sent as bytes") {
  auto const tokenizer = Tokenizer::train(short_lines(), 100);
  CHECK(Tokenizer::train(short_lines(), 100).serialized() == tokenizer.serialized());
  CHECK(Tokenizer::from_serialized(tokenizer.serialized()).encode("brown dogs") == tokenizer.encode("brown dogs"));
}

TEST_CASE("pieces that stand for bytes come back as text") {
  auto const tokenizer =
      special_model({{"byte_fallback", "true"}, {"pad_id", "0"}, {"unk_id", "1"}, {"bos_id", "2"}, {"eos_id", "3"}});
  CHECK(tokenizer.decode(tokenizer.encode("the King ☕")) == "the King ☕");
}

TEST_CASE("what cannot become a tokenizer is refused with the reason") {
  CHECK_THROWS_WITH_AS(Tokenizer::train({}, 100), "tokenizer: no text to train on", DataError);
  CHECK_THROWS_WITH_AS(Tokenizer::train({"", ""}, 100), "tokenizer: no text to train on", DataError);
  CHECK_THROWS_WITH_AS(Tokenizer::train(short_lines(), 10),
                       "tokenizer: a vocabulary of 10 pieces is too small for the 400 lines of text: their characters "
                       "and 4 marks need 30 at least",
                       DataError);
  CHECK(Tokenizer::train(short_lines(), 30).vocabulary_size() == 30);
  for (std::int64_t const size : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{3}, std::int64_t{4},
                                  max_vocabulary_size + 1, std::int64_t{1} << 40})
    CHECK_THROWS_WITH_AS(Tokenizer::train(short_lines(), size), doctest::Contains("pieces; give 5 to 1000000"),
                         DataError);
  CHECK_THROWS_WITH_AS(Tokenizer::from_serialized("no model"), doctest::Contains("not a SentencePiece model"),
                       DataError);
  CHECK_THROWS_WITH_AS(special_model({}),
                       "tokenizer: the ids of pad, unknown, begin and end are -1 0 1 2, expected 0 1 2 3", DataError);
}
