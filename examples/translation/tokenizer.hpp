// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace translation {

inline constexpr std::int32_t pad_id = 0;
inline constexpr std::int32_t unknown_id = 1;
inline constexpr std::int32_t begin_id = 2;
inline constexpr std::int32_t end_id = 3;

/// The largest vocabulary that is asked of SentencePiece.
inline constexpr std::int64_t max_vocabulary_size = 1'000'000;

/// One vocabulary of SentencePiece unigrams for all languages. Copies share the model.
class Tokenizer {
 public:
  /// Learns a vocabulary of at most `vocabulary_size` pieces; a small text gives fewer. The same lines give the same
  /// model.
  /// @throws DataError where the text needs a larger vocabulary, with the least size.
  static Tokenizer train(std::vector<std::string> const& lines, std::int64_t vocabulary_size = 2000);

  /// A model as `serialized` returned it; also the content of a .model file whose four special ids are those above.
  /// @throws DataError for anything else.
  static Tokenizer from_serialized(std::string model);

  std::string const& serialized() const { return model_; }
  std::int64_t vocabulary_size() const;

  /// The ids of a text, without begin and end marks.
  std::vector<std::int32_t> encode(std::string_view text) const;

  /// The text of ids up to the first end mark; padding and begin marks are left out. Not the inverse of encode: unknown
  /// characters come back as " \u2047 ", so scores must be taken against the raw reference.
  /// @throws DataError for an id outside the vocabulary.
  std::string decode(std::span<std::int32_t const> ids) const;

 private:
  Tokenizer() = default;

  std::string model_;
  std::shared_ptr<sentencepiece::SentencePieceProcessor const> processor_;
};

}  // namespace translation
