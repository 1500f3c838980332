// SPDX-License-Identifier: Apache-2.0
#include "batches.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "data_error.hpp"
#include "tokenizer.hpp"

using namespace translation;
using Ids = std::vector<std::int32_t>;

namespace {

/// Pairs of many lengths, each with ids of its own; one is longer than a batch of 128 tokens.
std::vector<TokenPair> many_pairs(std::int32_t count) {
  std::vector<TokenPair> pairs;
  for (std::int32_t i = 0; i < count; ++i) {
    auto const ids = [i](std::int32_t length) {
      Ids result(static_cast<std::size_t>(length), 10 + i);
      result.back() = end_id;
      return result;
    };
    pairs.push_back({ids(i == 7 ? 150 : 2 + i * 7 % 13), ids(2 + i * 5 % 17)});
  }
  return pairs;
}

/// Checks that a batch holds its pairs as it should, and returns their indices.
std::vector<std::int64_t> check_layout(Batch const& batch, std::vector<TokenPair> const& pairs) {
  auto const places = static_cast<std::size_t>(batch.groups * batch.sentences);
  REQUIRE(batch.pairs.size() == places);
  REQUIRE(batch.source_lengths.size() == places);
  REQUIRE(batch.target_lengths.size() == places);
  REQUIRE(batch.source.size() == places * static_cast<std::size_t>(batch.source_length));
  REQUIRE(batch.target.size() == places * static_cast<std::size_t>(batch.target_length));
  REQUIRE(batch.decoder_input.size() == batch.target.size());

  std::vector<std::int64_t> present;
  std::int64_t tokens = 0;
  for (std::size_t place = 0; place < places; ++place) {
    auto const row = [place](Ids const& all, std::int64_t length) {
      auto const begin = all.begin() + static_cast<std::ptrdiff_t>(place) * length;
      return Ids(begin, begin + length);
    };
    auto const padded = [](Ids ids, std::int64_t length) {
      ids.resize(static_cast<std::size_t>(length), pad_id);
      return ids;
    };
    TokenPair const pair = batch.pairs[place] < 0 ? TokenPair{} : pairs[static_cast<std::size_t>(batch.pairs[place])];
    Ids shifted = pair.target;
    if (!shifted.empty()) {
      shifted.pop_back();
      shifted.insert(shifted.begin(), begin_id);
    }
    CHECK(row(batch.source, batch.source_length) == padded(pair.source, batch.source_length));
    CHECK(row(batch.target, batch.target_length) == padded(pair.target, batch.target_length));
    CHECK(row(batch.decoder_input, batch.target_length) == padded(shifted, batch.target_length));
    CHECK(batch.source_lengths[place] == std::ssize(pair.source));
    CHECK(batch.target_lengths[place] == std::ssize(pair.target));
    if (batch.pairs[place] >= 0) present.push_back(batch.pairs[place]);
    tokens += std::ssize(pair.target);
  }
  CHECK(batch.target_tokens == tokens);
  return present;
}

std::vector<std::vector<std::int64_t>> order_of(std::vector<Batch> const& batches) {
  std::vector<std::vector<std::int64_t>> order;
  for (auto const& batch : batches) order.push_back(batch.pairs);
  return order;
}

}  // namespace

TEST_CASE("the decoder sees the begin mark and then the target without its end") {
  std::vector<TokenPair> const pairs = {{{8, 9, 3}, {5, 7, 3}}, {{8, 3}, {6, 3}}, {{9, 3}, {3}}};
  auto const batches =
      evaluation_batches(pairs, {.groups = 2, .tokens_per_batch = 16, .length_multiple = 4, .seed = 1});
  REQUIRE(batches.size() == 1);
  auto const& batch = batches[0];
  CHECK(batch.sentences == 2);
  CHECK(batch.pairs == std::vector<std::int64_t>{0, 2, 1, -1});
  CHECK(batch.source == Ids{8, 9, 3, 0, 9, 3, 0, 0, /**/ 8, 3, 0, 0, 0, 0, 0, 0});
  CHECK(batch.target == Ids{5, 7, 3, 0, 3, 0, 0, 0, /**/ 6, 3, 0, 0, 0, 0, 0, 0});
  CHECK(batch.decoder_input == Ids{2, 5, 7, 0, 2, 0, 0, 0, /**/ 2, 6, 0, 0, 0, 0, 0, 0});
  CHECK(batch.source_lengths == Ids{3, 2, 2, 0});
  CHECK(batch.target_lengths == Ids{3, 1, 2, 0});
  CHECK(batch.target_tokens == 6);
}

TEST_CASE("every pair stands in one batch, lengths are multiples, tokens stay within the limit") {
  auto const pairs = many_pairs(500);
  for (std::int64_t const groups : {1, 2, 3, 8}) {
    for (std::int64_t const multiple : {1, 4, 8}) {
      CAPTURE(groups);
      CAPTURE(multiple);
      BatchOptions const options{.groups = groups, .tokens_per_batch = 128, .length_multiple = multiple, .seed = 3};
      for (auto const& batches : {training_batches(pairs, options, 0), evaluation_batches(pairs, options)}) {
        std::multiset<std::int64_t> seen;
        std::int64_t with_gaps = 0;
        for (auto const& batch : batches) {
          CHECK(batch.groups == groups);
          CHECK(batch.source_length % multiple == 0);
          CHECK(batch.target_length % multiple == 0);
          auto const target_places = std::ssize(batch.target), source_places = std::ssize(batch.source);
          CHECK((batch.sentences == 1 || (target_places <= 128 && source_places <= 256)));
          auto const present = check_layout(batch, pairs);
          seen.insert(present.begin(), present.end());
          with_gaps += std::ssize(present) < batch.groups * batch.sentences;
        }
        CHECK(seen.size() == pairs.size());
        CHECK(std::set(seen.begin(), seen.end()).size() == pairs.size());
        CHECK(with_gaps <= 1);
      }
    }
  }
}

TEST_CASE("the order depends on seed and epoch alone") {
  auto const pairs = many_pairs(200);
  BatchOptions const options{.groups = 2, .tokens_per_batch = 128, .length_multiple = 4, .seed = 1};
  BatchOptions other = options;
  other.seed = 2;
  auto const first = order_of(training_batches(pairs, options, 0));
  CHECK(first == order_of(training_batches(pairs, options, 0)));
  CHECK(first != order_of(training_batches(pairs, options, 1)));
  CHECK(first != order_of(training_batches(pairs, other, 0)));
  CHECK(order_of(evaluation_batches(pairs, options)) == order_of(evaluation_batches(pairs, other)));
}

TEST_CASE("nothing to lay out, and what cannot be laid out") {
  CHECK(training_batches({}, {}, 0).empty());
  BatchOptions const no_groups{.groups = 0, .tokens_per_batch = 128, .length_multiple = 4, .seed = 1};
  CHECK_THROWS_WITH_AS(evaluation_batches({}, no_groups),
                       "batches: groups 0, tokens 128, length multiple 4: all must be positive", DataError);
  std::vector<TokenPair> const hollow = {{{5, 3}, {6, 3}}, {{5, 3}, {}}};
  CHECK_THROWS_WITH_AS(evaluation_batches(hollow, {}), "batches: pair 1 has no tokens", DataError);
}
