// SPDX-License-Identifier: Apache-2.0
#include "prepare.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <iomanip>
#include <map>
#include <ostream>
#include <set>
#include <utility>

namespace translation {
namespace {

/// Seconds since the last call.
class Stopwatch {
 public:
  double lap() {
    auto const now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

std::set<std::string> english_sentences(std::vector<Pair> const& pairs) {
  std::set<std::string> sentences;
  for (auto const& pair : pairs) sentences.insert(pair.english);
  return sentences;
}

/// The pairs as ids, but for those of more than `max_pieces` on a side, which it counts.
Section encode(std::vector<Pair> pairs, Tokenizer const& tokenizer, std::int64_t max_pieces, ReadCounts& counts) {
  Section section;
  auto const ids_of = [&tokenizer](std::string const& sentence) {
    auto ids = tokenizer.encode(sentence);
    ids.push_back(end_id);
    return ids;
  };
  for (auto& pair : pairs) {
    TokenPair tokens{ids_of(pair.source), ids_of(pair.english)};
    if (std::max(std::ssize(tokens.source), std::ssize(tokens.target)) > max_pieces) {
      ++counts.refused[static_cast<std::size_t>(Refusal::too_long)];
    } else {
      section.pairs.push_back(std::move(pair));
      section.tokens.push_back(std::move(tokens));
    }
  }
  return section;
}

}  // namespace

PreparedData prepare(CorpusOptions const& options, std::int64_t vocabulary_size) {
  Stopwatch watch;
  Corpus corpus = read_corpus(options);
  double const read_seconds = watch.lap();

  std::vector<std::string> lines;
  for (auto const& pair : corpus.train) lines.push_back(pair.source);
  std::ranges::copy(english_sentences(corpus.train), std::back_inserter(lines));
  auto tokenizer = Tokenizer::train(lines, vocabulary_size);
  double const tokenizer_seconds = watch.lap();

  auto const encoded = [&](std::vector<Pair>& pairs) {
    return encode(std::move(pairs), tokenizer, options.max_pieces, corpus.counts);
  };
  auto train = encoded(corpus.train), dev = encoded(corpus.dev), test = encoded(corpus.test);
  require_pairs(options, corpus.counts, train.pairs, dev.pairs, test.pairs);
  return {std::move(tokenizer), std::move(train), std::move(dev),    std::move(test),
          corpus.counts,        read_seconds,     tokenizer_seconds, watch.lap()};
}

void print_summary(std::ostream& stream, PreparedData const& data) {
  std::array<Section const*, 3> const sections = {&data.train, &data.dev, &data.test};
  std::map<std::string, std::array<std::size_t, 3>> by_language;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    for (auto const& pair : sections[i]->pairs) ++by_language[pair.language][i];
  }
  auto const line = [&stream](std::string_view name, std::array<std::size_t, 3> const& n) {
    stream << std::left << std::setw(18) << name << std::right << std::setw(9) << n[0] << std::setw(9) << n[1]
           << std::setw(9) << n[2] << std::setw(9) << n[0] + n[1] + n[2] << '\n';
  };
  stream << "pairs                 train      dev     test    total\n";
  std::array<std::size_t, 3> all = {}, english = {};
  for (auto const& [language, n] : by_language) line(language, n);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    all[i] = sections[i]->pairs.size();
    english[i] = english_sentences(sections[i]->pairs).size();
  }
  line("all", all);
  line("English sentences", english);

  stream << "from " << data.counts.files << " files with " << data.counts.messages
         << " messages; left out: " << data.counts.duplicates << " duplicates";
  for (std::size_t i = 1; i < data.counts.refused.size(); ++i) {
    if (data.counts.refused[i] > 0) stream << ", " << data.counts.refused[i] << " " << name_of(static_cast<Refusal>(i));
  }
  if (data.counts.files_of_unknown_charset > 0)
    stream << ", " << data.counts.files_of_unknown_charset << " files of unknown charset";
  std::size_t source_pieces = 0, target_pieces = 0;
  for (auto const& tokens : data.train.tokens) {
    source_pieces += tokens.source.size();
    target_pieces += tokens.target.size();
  }
  auto const flags = stream.flags();
  auto const precision = stream.precision();
  auto const count = static_cast<double>(data.train.tokens.size());
  stream << std::fixed << std::setprecision(1) << "\nvocabulary of " << data.tokenizer.vocabulary_size()
         << " pieces; tokens a sentence: " << static_cast<double>(source_pieces) / count << " source, "
         << static_cast<double>(target_pieces) / count << " English, end marks included\nseconds: " << data.read_seconds
         << " reading, " << data.tokenizer_seconds << " tokenizer, " << data.encode_seconds << " encoding\n";
  stream.flags(flags);
  stream.precision(precision);
}

std::string most_frequent_english(std::vector<Pair> const& pairs) {
  std::map<std::string, std::int64_t> counts;
  for (auto const& pair : pairs) ++counts[pair.english];
  auto const most = std::ranges::max_element(counts, {}, [](auto const& entry) { return entry.second; });
  return most == counts.end() ? std::string() : most->first;
}

Baselines baselines(PreparedData const& data) {
  std::vector<std::string> copies;
  for (auto const& pair : data.test.pairs) copies.push_back(pair.source);
  std::vector<std::string> const constant(copies.size(), most_frequent_english(data.train.pairs));
  return {score(data.test.pairs, copies), score(data.test.pairs, constant)};
}

}  // namespace translation
