// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "tokenizer.hpp"
#include "train.hpp"

namespace translation {

namespace {

/// The words of each sentence of a batch; the places without a sentence get none.
std::vector<std::vector<std::int32_t>> translate_batch(Grid const& grid, Model& model, Batch const& batch,
                                                       BeamOptions const& beam) {
  std::int64_t const longest = std::min(model.options().max_length, 2 * batch.source_length + 8);
  std::int64_t const choices = std::min(beam.hypotheses + 1, model.options().vocabulary);
  gshard::nn::Decoder decoder(model, sentences_on_grid(grid, batch.groups, batch.source, batch.source_lengths), longest,
                              beam.hypotheses);
  std::vector<BeamSearch> searches;
  for (std::int64_t const pair : batch.pairs) searches.emplace_back(beam, pair < 0 ? 0 : longest);

  // Every rank searches for all sentences and so takes the same number of steps, however early its own sentences end.
  while (!std::ranges::all_of(searches, &BeamSearch::is_done)) {
    std::vector<std::int32_t> words, parents;
    for (std::size_t i = 0; i < searches.size(); ++i) {
      // Sentence i has the i-th block of its group's hypotheses.
      auto const first = static_cast<std::int32_t>(static_cast<std::int64_t>(i) % batch.sentences * beam.hypotheses);
      words.insert(words.end(), searches[i].words().begin(), searches[i].words().end());
      for (std::int32_t const parent : searches[i].parents()) parents.push_back(first + parent);
    }
    auto const logits = decoder.step(on_grid(grid, batch.groups, words), on_grid(grid, batch.groups, parents));
    auto const likeliest = gshard::top_k<2>(gshard::log_softmax<2>(logits), choices);
    auto const next_words = gshard::to_vector(likeliest.indices);
    auto const log_probabilities = gshard::to_vector(likeliest.values);
    auto const of_each = static_cast<std::size_t>(beam.hypotheses * choices);
    for (std::size_t i = 0; i < searches.size(); ++i)
      searches[i].advance(std::span(next_words).subspan(i * of_each, of_each),
                          std::span(log_probabilities).subspan(i * of_each, of_each));
  }
  std::vector<std::vector<std::int32_t>> translations;
  for (BeamSearch const& search : searches) translations.push_back(search.best());
  return translations;
}

}  // namespace

std::vector<std::vector<std::int32_t>> translate(Grid const& grid, Model& model, std::vector<TokenPair> const& pairs,
                                                 BatchOptions const& batches, BeamOptions const& beam) {
  std::vector<std::vector<std::int32_t>> outputs(pairs.size());
  for (Batch const& batch : evaluation_batches(pairs, batches)) {
    auto translations = translate_batch(grid, model, batch, beam);
    for (std::size_t i = 0; i < translations.size(); ++i)
      if (batch.pairs[i] >= 0) outputs[static_cast<std::size_t>(batch.pairs[i])] = std::move(translations[i]);
  }
  return outputs;
}

}  // namespace translation
