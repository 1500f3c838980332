// SPDX-License-Identifier: Apache-2.0
#include "tokenizer.hpp"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "data_error.hpp"

namespace translation {

using gshard::detail::concat;

namespace {

/// The least size of a vocabulary that SentencePiece asks for in a message that ends as "required_chars. 10 vs 28.
/// Increase ..."; 0 where the message is another one.
std::int64_t least_size(std::string_view message) {
  constexpr std::string_view words = " vs ";
  auto const found = message.find(words, std::min(message.find("required_chars."), message.size()));
  if (found == std::string_view::npos) return 0;
  std::int64_t size = 0;
  std::from_chars(message.data() + found + words.size(), message.data() + message.size(), size);
  return size;
}

}  // namespace

Tokenizer Tokenizer::train(std::vector<std::string> const& lines, std::int64_t vocabulary_size) {
  std::unordered_map<std::string, std::string> const arguments = {
      {"model_type", "unigram"},
      {"vocab_size", std::to_string(vocabulary_size)},
      {"hard_vocab_limit", "false"},
      {"character_coverage", "0.9995"},
      {"pad_id", std::to_string(pad_id)},
      {"unk_id", std::to_string(unknown_id)},
      {"bos_id", std::to_string(begin_id)},
      {"eos_id", std::to_string(end_id)},
      {"num_threads", "2"},  // part of the result: sums are taken per thread
      {"minloglevel", "3"},
  };
  if (std::ranges::all_of(lines, [](auto const& line) { return line.empty(); }))
    throw DataError("tokenizer: no text to train on");
  std::int64_t constexpr marks = 4;
  if (vocabulary_size <= marks || vocabulary_size > max_vocabulary_size)
    throw DataError(concat("tokenizer: a vocabulary of ", vocabulary_size, " pieces; give ", marks + 1, " to ",
                           max_vocabulary_size));
  std::string model;
  auto const status = sentencepiece::SentencePieceTrainer::Train(arguments, lines, &model);
  if (!status.ok()) {
    if (std::int64_t const least = least_size(status.error_message()); least > 0)
      throw DataError(concat("tokenizer: a vocabulary of ", vocabulary_size, " pieces is too small for the ",
                             lines.size(), " lines of text: their characters and ", marks, " marks need ", least,
                             " at least"));
    throw DataError(concat("tokenizer: no vocabulary of ", vocabulary_size, " pieces from ", lines.size(),
                           " lines: ", status.error_message()));
  }
  return from_serialized(std::move(model));
}

Tokenizer Tokenizer::from_serialized(std::string model) {
  auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  if (auto const status = processor->LoadFromSerializedProto(model); !status.ok()) {
    throw DataError(concat("tokenizer: not a SentencePiece model: ", status.error_message()));
  }
  auto const& p = *processor;
  if (p.pad_id() != pad_id || p.unk_id() != unknown_id || p.bos_id() != begin_id || p.eos_id() != end_id) {
    throw DataError(concat("tokenizer: the ids of pad, unknown, begin and end are ", p.pad_id(), " ", p.unk_id(), " ",
                           p.bos_id(), " ", p.eos_id(), ", expected 0 1 2 3"));
  }
  Tokenizer tokenizer;
  tokenizer.model_ = std::move(model);
  tokenizer.processor_ = std::move(processor);
  return tokenizer;
}

std::int64_t Tokenizer::vocabulary_size() const { return processor_->GetPieceSize(); }

std::vector<std::int32_t> Tokenizer::encode(std::string_view sentence) const {
  auto const ids = processor_->EncodeAsIds(sentence);
  return {ids.begin(), ids.end()};
}

std::string Tokenizer::decode(std::span<std::int32_t const> ids) const {
  std::vector<int> pieces;
  for (std::int32_t const id : ids) {
    if (id == end_id) break;
    if (id < 0 || id >= vocabulary_size())
      throw DataError(concat("tokenizer: ", id, " is no id of a vocabulary of ", vocabulary_size(), " pieces"));
    if (id != pad_id && id != begin_id) pieces.push_back(id);
  }
  return processor_->DecodeIds(pieces);
}

}  // namespace translation
