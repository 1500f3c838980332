// SPDX-License-Identifier: Apache-2.0
#include "beam.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include <gshard/core/options.hpp>

#include "tokenizer.hpp"

namespace translation {

double length_penalty(BeamOptions const& options, std::int64_t length) {
  return std::pow((options.offset + static_cast<double>(length)) / (options.offset + 1), options.exponent);
}

namespace {

BeamOptions const& checked(BeamOptions const& options) {
  using namespace gshard::detail;
  require_at_least("hypotheses", options.hypotheses, 1);
  require_option(std::isfinite(options.exponent), "exponent", options.exponent, "a finite number");
  require_non_negative("offset", options.offset);
  return options;
}

}  // namespace

BeamSearch::BeamSearch(BeamOptions const& options, std::int64_t longest)
    : options_(checked(options)),
      longest_(longest),
      is_done_(longest < 1),
      words_(static_cast<std::size_t>(options.hypotheses), -1),
      parents_(static_cast<std::size_t>(options.hypotheses), 0) {
  words_[0] = begin_id;
}

void BeamSearch::advance(std::span<int const> next_words, std::span<float const> log_probabilities) {
  if (is_done_) return;
  struct Candidate {
    std::int32_t parent;
    std::int32_t word;
    double log_probability;
  };
  if (next_words.size() != log_probabilities.size() || next_words.size() % words_.size() != 0)
    throw gshard::ExtentError(gshard::detail::concat("beam search: ", next_words.size(), " words and ",
                                                     log_probabilities.size(), " probabilities for ", words_.size(),
                                                     " hypotheses; give as many of both for each"));
  std::size_t const choices = next_words.size() / words_.size();
  std::vector<Candidate> candidates;
  for (std::size_t place = 0; place < going_on_.size(); ++place)
    for (std::size_t i = place * choices; i < (place + 1) * choices; ++i) {
      if (std::isnan(log_probabilities[i]))
        throw gshard::NonFiniteError(gshard::detail::concat("beam search: the probability of word ", next_words[i],
                                                            " is nan; the model is trained with too high a rate"));
      candidates.push_back({static_cast<std::int32_t>(place), next_words[i],
                            going_on_[place].log_probability + static_cast<double>(log_probabilities[i])});
    }
  std::ranges::stable_sort(candidates, std::greater{}, &Candidate::log_probability);

  ++length_;
  std::vector<Hypothesis> next;
  std::ranges::fill(words_, -1);
  std::ranges::fill(parents_, 0);
  for (Candidate const& candidate : candidates) {
    if (std::ssize(next) == options_.hypotheses) break;
    Hypothesis hypothesis{going_on_[static_cast<std::size_t>(candidate.parent)].words, candidate.log_probability};
    if (candidate.word == end_id) {
      double const score = hypothesis.log_probability / length_penalty(options_, length_);
      if (best_ && best_score_ >= score) continue;
      best_ = std::move(hypothesis);
      best_score_ = score;
    } else {
      words_[next.size()] = candidate.word;
      parents_[next.size()] = candidate.parent;
      hypothesis.words.push_back(candidate.word);
      next.push_back(std::move(hypothesis));
    }
  }
  going_on_ = std::move(next);
  is_done_ = going_on_.empty() || length_ == longest_ || (best_ && best_score_ >= bound());
  if (is_done_) std::ranges::fill(words_, -1);
}

/// The score that the likeliest hypothesis has if all words to come are certain: the longest then has the best, or,
/// where length costs, the shortest.
double BeamSearch::bound() const {
  return going_on_.front().log_probability / length_penalty(options_, options_.exponent > 0 ? longest_ : length_ + 1);
}

std::vector<std::int32_t> BeamSearch::best() const {
  if (best_) return best_->words;
  return going_on_.empty() ? std::vector<std::int32_t>{} : going_on_.front().words;
}

}  // namespace translation
