// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "batches.hpp"
#include "bleu.hpp"
#include "corpus.hpp"
#include "tokenizer.hpp"

namespace translation {

/// One side of the split, as text (BLEU takes its references from here) and as ids, in the same order.
struct Section {
  std::vector<Pair> pairs;
  std::vector<TokenPair> tokens;
};

/// Text made ready to train on. The same options and text give the same result, so that every rank can prepare by
/// itself.
struct PreparedData {
  Tokenizer tokenizer;
  Section train, dev, test;
  ReadCounts counts;
  double read_seconds = 0;       ///< reading, cleaning and dividing
  double tokenizer_seconds = 0;  ///< training the tokenizer
  double encode_seconds = 0;
};

/// Reads the corpus, trains the tokenizer on its training side alone, and encodes all of it. Pairs of more than
/// `options.max_pieces` pieces on a side are left out, and counted as too long.
/// @throws DataError as read_corpus and Tokenizer::train.
PreparedData prepare(CorpusOptions const& options, std::int64_t vocabulary_size = 2000);

/// Prints pairs by language and side, English sentences, vocabulary, what was refused, and times.
void print_summary(std::ostream& stream, PreparedData const& data);

/// The English sentence that occurs most often among the pairs.
std::string most_frequent_english(std::vector<Pair> const& pairs);

/// What a translator has to beat on the test side: giving back the source, and always saying what is said most often in
/// training.
struct Baselines {
  BleuReport copied_source;
  BleuReport most_frequent;
};
Baselines baselines(PreparedData const& data);

}  // namespace translation
