// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace translation {

struct BeamOptions {
  std::int64_t hypotheses = 4;  ///< that go on after each word
  /// A translation of n words, the end mark among them, has the score log p / ((offset + n) / (offset + 1))^exponent:
  /// with 5 the penalty of Wu et al. (2016), with 0 a power of the length.
  double exponent = 0.6;
  double offset = 5;
};

/// What the logarithm of a probability is divided by.
double length_penalty(BeamOptions const& options, std::int64_t length);

/// Beam search for the translation of one sentence. It stops when no hypothesis can reach the score of the best
/// translation any more.
class BeamSearch {
 public:
  /// Translations of up to `longest` words.
  /// @throws gshard::OptionError unless there is a hypothesis at least, the exponent is finite, and the offset is a
  /// finite number of 0 or more.
  BeamSearch(BeamOptions const& options, std::int64_t longest);

  bool is_done() const { return is_done_; }

  /// What the decoder takes next, for each of `hypotheses` places: the newest word, negative where there is none, and
  /// the place of the hypothesis before it.
  std::vector<std::int32_t> const& words() const { return words_; }
  std::vector<std::int32_t> const& parents() const { return parents_; }

  /// Goes on by one word: the likeliest next words of each place, at least hypotheses + 1 of them, and the logarithms
  /// of their probabilities; minus infinity for what cannot be.
  /// @throws gshard::NonFiniteError for the logarithm of a probability that is NaN, and gshard::ExtentError where the
  /// numbers of words and of probabilities differ.
  void advance(std::span<int const> next_words, std::span<float const> log_probabilities);

  /// The best translation, without its end mark; where none has ended, the best that has been begun.
  std::vector<std::int32_t> best() const;

 private:
  struct Hypothesis {
    std::vector<std::int32_t> words;
    double log_probability = 0;
  };

  double bound() const;

  BeamOptions options_;
  std::int64_t longest_;
  std::int64_t length_ = 0;
  bool is_done_ = false;
  std::vector<Hypothesis> going_on_{Hypothesis{}};
  std::optional<Hypothesis> best_;
  double best_score_ = 0;
  std::vector<std::int32_t> words_;
  std::vector<std::int32_t> parents_;
};

}  // namespace translation
