// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>
#include <vector>

#include "tokenizer.hpp"
#include "train.hpp"

namespace translation {

namespace {

constexpr std::int32_t ended = -1;

/// The words of each sentence of a batch, and of the places without a sentence, which have none.
std::vector<std::vector<std::int32_t>> translate_batch(Grid const& grid, Model& model, Batch const& batch) {
  std::int64_t const longest = std::min(model.options().longest, 2 * batch.source_length + 8);
  gshard::nn::Decoder decoder(model, sentences_on_grid(grid, batch.groups, batch.source, batch.source_lengths), longest);
  std::vector<std::vector<std::int32_t>> translations(batch.pairs.size());
  std::vector<std::int32_t> newest;
  for (std::int64_t const pair : batch.pairs) newest.push_back(pair < 0 ? ended : begin_id);
  auto const is_word = [](std::int32_t word) { return word >= 0; };
  // Every rank holds the words of all sentences and so takes the same number of steps, however early its own sentences end.
  while (std::ranges::any_of(newest, is_word) && decoder.place() < longest) {
    auto const chosen = gshard::to_vector(gshard::argmax<-1>(decoder.step(on_grid(grid, batch.groups, newest))));
    for (std::size_t i = 0; i < newest.size(); ++i) {
      if (!is_word(newest[i])) continue;
      auto const word = static_cast<std::int32_t>(chosen[i]);
      newest[i] = word == end_id ? ended : word;
      if (word != end_id) translations[i].push_back(word);
    }
  }
  return translations;
}

}  // namespace

std::vector<std::vector<std::int32_t>> translate(Grid const& grid, Model& model, std::vector<TokenPair> const& pairs, BatchOptions const& batches) {
  std::vector<std::vector<std::int32_t>> outputs(pairs.size());
  for (Batch const& batch : evaluation_batches(pairs, batches)) {
    auto translations = translate_batch(grid, model, batch);
    for (std::size_t i = 0; i < translations.size(); ++i)
      if (batch.pairs[i] >= 0) outputs[static_cast<std::size_t>(batch.pairs[i])] = std::move(translations[i]);
  }
  return outputs;
}

}  // namespace translation
