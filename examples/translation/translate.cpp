// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>

#include "tokenizer.hpp"
#include "train.hpp"

namespace translation {

namespace {

/// The words that a batch's sentences have so far (G, N, length), behind the begin mark.
struct Hypotheses {
  std::int64_t groups;
  std::int64_t length = 1;
  std::vector<std::vector<std::int32_t>> words;
  std::vector<bool> ended;

  explicit Hypotheses(Batch const& batch) : groups(batch.groups) {
    for (std::int32_t source_length : batch.source_lengths) {
      words.push_back({begin_id});
      ended.push_back(source_length == 0);
    }
  }

  bool all_ended() const { return std::ranges::all_of(ended, std::identity{}); }

  Sentences on_grid(Grid const& grid) const {
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> lengths;
    for (auto const& sentence : words) {
      ids.insert(ids.end(), sentence.begin(), sentence.end());
      ids.resize(ids.size() + static_cast<std::size_t>(length) - sentence.size(), pad_id);
      lengths.push_back(static_cast<std::int32_t>(sentence.size()));
    }
    return sentences_on_grid(grid, groups, std::move(ids), lengths);
  }

  /// Appends to each sentence that goes on the word chosen at its last place.
  void append(std::vector<std::int64_t> const& chosen) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (ended[i]) continue;
      auto const word = static_cast<std::int32_t>(chosen[i * static_cast<std::size_t>(length) + words[i].size() - 1]);
      if (word == end_id) ended[i] = true;
      else words[i].push_back(word);
    }
    ++length;
  }
};

}  // namespace

std::vector<std::vector<std::int32_t>> translate(Grid const& grid, Model& model, std::vector<TokenPair> const& pairs, BatchOptions const& batches) {
  std::vector<std::vector<std::int32_t>> outputs(pairs.size());
  for (Batch const& batch : evaluation_batches(pairs, batches)) {
    Sentences const source = sentences_on_grid(grid, batch.groups, batch.source, batch.source_lengths);
    auto const memory = model.encode(source);
    Hypotheses hypotheses(batch);
    std::int64_t const longest = std::min(model.options().longest, 2 * batch.source_length + 8);
    // Every rank holds all hypotheses and so takes the same number of steps, however early its own sentences end.
    while (!hypotheses.all_ended() && hypotheses.length < longest) {
      auto const states = model.decode(memory, source, hypotheses.on_grid(grid));
      hypotheses.append(gshard::to_vector(gshard::argmax<-1>(model.logits(states))));
    }
    for (std::size_t i = 0; i < hypotheses.words.size(); ++i)
      if (batch.pairs[i] >= 0) outputs[static_cast<std::size_t>(batch.pairs[i])] = {hypotheses.words[i].begin() + 1, hypotheses.words[i].end()};
  }
  return outputs;
}

}  // namespace translation
