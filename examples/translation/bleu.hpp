// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clean.hpp"

namespace translation {

/// The words that BLEU counts: separated by blanks of Unicode, punctuation apart from words, dots and commas left
/// inside numbers (as WMT's "13a" rules).
std::vector<std::string> bleu_words(std::string_view given);

/// Corpus BLEU of one reference a sentence, from counts that add up over sentences. Papineni et al., 2002: 1- to
/// 4-grams, no smoothing, brevity penalty exp(1 - reference/output) for output that is shorter.
class BleuCounts {
 public:
  void add(std::string_view output, std::string_view reference);

  /// 0 to 100. 0 where some length of n-gram has no match in the whole corpus, as in one of lines under four words.
  double bleu() const;

  /// The share of outputs that equal their reference as text, 0 to 100.
  double exact_match() const;

  std::int64_t sentences() const { return sentences_; }

 private:
  static constexpr std::size_t max_order = 4;

  std::array<std::int64_t, max_order> matches_ = {};
  std::array<std::int64_t, max_order> totals_ = {};
  std::int64_t output_words_ = 0;
  std::int64_t reference_words_ = 0;
  std::int64_t sentences_ = 0;
  std::int64_t exact_ = 0;
};

/// Corpus BLEU of outputs beside their references.
/// @throws DataError where there are not as many of one as of the other.
double bleu(std::span<std::string const> outputs, std::span<std::string const> references);

/// Scores of outputs by source language, in the order of the language codes.
struct BleuReport {
  struct Row {
    std::string language;
    BleuCounts counts;
  };
  std::vector<Row> languages;
  BleuCounts all;  ///< every sentence as one corpus

  /// The mean of the languages' BLEU.
  double average_bleu() const;
};

/// Scores one output for each pair against its English.
/// @throws DataError where there are not as many outputs as pairs.
BleuReport score(std::span<Pair const> pairs, std::span<std::string const> outputs);

/// A table: language, sentences, BLEU, exact match; then the average and the whole.
std::ostream& operator<<(std::ostream& stream, BleuReport const& report);

}  // namespace translation
