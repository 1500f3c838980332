// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace translation {

/// A sentence and its English translation, UTF-8.
struct Pair {
  std::string language;
  std::string source;
  std::string english;

  friend bool operator==(Pair const&, Pair const&) = default;
};

/// Why clean() refuses a pair.
enum class Refusal {
  none,
  empty,
  forbidden_character,  ///< formats, markup, code, paths
  word_count,           ///< English outside the wanted number of words
  too_long,      ///< more characters than `max_english_characters` or `max_source_characters`, or too many pieces
  few_letters,   ///< acronyms, numbers
  untranslated,  ///< the same text on both sides
  wrong_script,  ///< Latin letters in a language that is written in another script
  length_ratio,  ///< one side much longer than the other
  count
};

/// A refusal as a word for reports.
std::string_view name_of(Refusal refusal);

/// The longest sentences, in code points.
inline constexpr std::size_t max_english_characters = 300;
inline constexpr std::size_t max_source_characters = 400;

/// The wanted number of English words, both ends included.
struct WordLimits {
  std::int64_t min = 2;
  std::int64_t max = 10;
};

/// Returns the number of words of a text: what blanks of Unicode separate.
std::int64_t count_words(std::u32string_view text);

/// Returns whether a side has more characters than are taken.
bool is_too_long(std::u32string_view english, std::u32string_view source);

/// Takes from a user-interface text what is no language: context marks, tags, entities, accelerator marks ("_File",
/// "Datei(_F)"), invisible characters, and all blanks but single spaces.
std::u32string normalise(std::u32string_view text);

/// Normalises both sides of a pair in place and says whether it is worth learning from. The rules look at code points
/// only and need no tables of Unicode.
Refusal clean(Pair& pair, WordLimits limits);

/// Cuts both texts at blank lines where that gives the same number of paragraphs; otherwise the pair as a whole.
std::vector<std::pair<std::string, std::string>> split_paragraphs(std::string_view english, std::string_view source);

}  // namespace translation
