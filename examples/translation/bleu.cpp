// SPDX-License-Identifier: Apache-2.0
#include "bleu.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <ostream>
#include <unordered_map>

#include "characters.hpp"
#include "data_error.hpp"
#include "utf8.hpp"

namespace translation {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// ASCII punctuation that always stands alone: all but the apostrophe, and those whose neighbours decide.
bool is_separate(char c) {
  return std::string_view("!\"#$%&()*+/:;<=>?@[\\]^_`{|}~").find(c) != std::string_view::npos;
}

/// All blanks as spaces: those beyond ASCII separate words, too.
std::string with_plain_blanks(std::string_view text) {
  auto points = decode_utf8(text);
  if (!points) return std::string(text);
  std::ranges::replace_if(*points, is_blank, U' ');
  return encode_utf8(*points);
}

using NgramCounts = std::unordered_map<std::string, std::int64_t>;

NgramCounts ngrams(std::vector<std::string> const& words, std::size_t order) {
  NgramCounts counts;
  for (std::size_t i = 0; i + order <= words.size(); ++i) {
    std::string ngram;
    for (std::size_t k = 0; k < order; ++k) ngram += words[i + k] + ' ';
    ++counts[ngram];
  }
  return counts;
}

}  // namespace

std::vector<std::string> bleu_words(std::string_view given) {
  std::string const text = with_plain_blanks(given);
  static constexpr std::pair<std::string_view, char> entities[] = {
      {"&quot;", '"'}, {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}};
  std::string plain;
  for (std::size_t i = 0; i < text.size();) {
    auto const entity = std::ranges::find_if(
        entities, [rest = std::string_view(text).substr(i)](auto const& e) { return rest.starts_with(e.first); });
    plain.push_back(entity == std::end(entities) ? text[i] : entity->second);
    i += entity == std::end(entities) ? 1 : entity->first.size();
  }

  std::vector<std::string> words(1);
  auto const end_word = [&] {
    if (!words.back().empty()) words.emplace_back();
  };
  for (std::size_t i = 0; i < plain.size(); ++i) {
    char const c = plain[i];
    bool const after_digit = i > 0 && is_digit(plain[i - 1]);
    bool const before_digit = i + 1 < plain.size() && is_digit(plain[i + 1]);
    bool const alone =
        is_separate(c) || ((c == '.' || c == ',') && !(after_digit && before_digit)) || (c == '-' && after_digit);
    if (c == ' ' || alone) end_word();
    if (c != ' ') words.back().push_back(c);
    if (alone) end_word();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

void BleuCounts::add(std::string_view output, std::string_view reference) {
  auto const words = bleu_words(output), expected = bleu_words(reference);
  for (std::size_t order = 1; order <= max_order; ++order) {
    auto const available = ngrams(expected, order);
    for (auto const& [ngram, count] : ngrams(words, order)) {
      auto const found = available.find(ngram);
      matches_[order - 1] += found == available.end() ? 0 : std::min(count, found->second);
      totals_[order - 1] += count;
    }
  }
  output_words_ += static_cast<std::int64_t>(words.size());
  reference_words_ += static_cast<std::int64_t>(expected.size());
  exact_ += output == reference;
  ++sentences_;
}

double BleuCounts::bleu() const {
  if (std::ranges::find(matches_, 0) != matches_.end()) return 0;
  double log_precision = 0;
  for (std::size_t i = 0; i < max_order; ++i) {
    log_precision += std::log(static_cast<double>(matches_[i]) / static_cast<double>(totals_[i])) / max_order;
  }
  double const brevity = std::min(0.0, 1 - static_cast<double>(reference_words_) / static_cast<double>(output_words_));
  return 100 * std::exp(log_precision + brevity);
}

double BleuCounts::exact_match() const {
  return sentences_ == 0 ? 0 : 100 * static_cast<double>(exact_) / static_cast<double>(sentences_);
}

double bleu(std::span<std::string const> outputs, std::span<std::string const> references) {
  if (outputs.size() != references.size()) {
    throw DataError(
        gshard::detail::concat("BLEU: ", outputs.size(), " outputs beside ", references.size(), " references"));
  }
  BleuCounts counts;
  for (std::size_t i = 0; i < outputs.size(); ++i) counts.add(outputs[i], references[i]);
  return counts.bleu();
}

double BleuReport::average_bleu() const {
  double sum = 0;
  for (auto const& row : languages) sum += row.counts.bleu();
  return languages.empty() ? 0 : sum / static_cast<double>(languages.size());
}

BleuReport score(std::span<Pair const> pairs, std::span<std::string const> outputs) {
  if (outputs.size() != pairs.size()) {
    throw DataError(gshard::detail::concat("BLEU: ", outputs.size(), " outputs beside ", pairs.size(), " references"));
  }
  std::map<std::string, BleuCounts> by_language;
  BleuReport report;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    by_language[pairs[i].language].add(outputs[i], pairs[i].english);
    report.all.add(outputs[i], pairs[i].english);
  }
  for (auto const& [language, counts] : by_language) report.languages.push_back({language, counts});
  return report;
}

std::ostream& operator<<(std::ostream& stream, BleuReport const& report) {
  auto const line = [&stream](std::string_view name, std::int64_t sentences, double bleu_score, double exact) {
    stream << std::left << std::setw(10) << name << std::right << std::setw(10) << sentences << std::fixed
           << std::setprecision(1) << std::setw(8) << bleu_score << std::setw(9) << exact << "%\n";
  };
  auto const flags = stream.flags();
  auto const precision = stream.precision();
  stream << "language   sentences    BLEU     exact\n";
  double exact = 0;
  for (auto const& [language, counts] : report.languages) {
    line(language, counts.sentences(), counts.bleu(), counts.exact_match());
    exact += counts.exact_match() / static_cast<double>(report.languages.size());
  }
  line("average", report.all.sentences(), report.average_bleu(), exact);
  line("as one", report.all.sentences(), report.all.bleu(), report.all.exact_match());
  stream.flags(flags);
  stream.precision(precision);
  return stream;
}

}  // namespace translation
