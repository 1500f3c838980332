// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "clean.hpp"

namespace translation {

/// The languages taken from catalogues where none are named.
inline std::vector<std::string> const default_languages = {"de", "fr", "es", "it", "nl", "sv", "pt", "da"};

/// Where the text comes from and how it is divided.
struct CorpusOptions {
  /// lines `language<TAB>source<TAB>English`, taken as they are but for blanks around the fields; empty: read
  /// catalogues
  std::filesystem::path file = {};
  /// folders with .../LANGUAGE/LC_MESSAGES/DOMAIN.mo at any depth
  std::vector<std::filesystem::path> roots = {"/usr/share/locale"};
  /// glob for DOMAIN; the default takes GIMP 2.10 and 3.0
  std::string domain = "gimp[23]0*";
  /// empty: default_languages, or all those of `file`
  std::vector<std::string> languages = {};
  WordLimits words = {};
  std::int64_t max_pieces = 256;     ///< of a sentence on either side, end mark included
  std::uint64_t test_permille = 50;  ///< of the English sentences, held out for test
  std::uint64_t dev_permille = 10;   ///< of the English sentences, held out to watch the training
};

/// What was read and refused on the way.
struct ReadCounts {
  std::int64_t files = 0;
  std::int64_t files_of_unknown_charset = 0;
  std::int64_t messages = 0;    ///< candidate pairs
  std::int64_t duplicates = 0;  ///< a source met before in the same language
  std::array<std::int64_t, static_cast<std::size_t>(Refusal::count)> refused = {};
};

/// The pairs by side. No English sentence is on two sides, in whatever languages and spelling variants it occurs.
struct Corpus {
  std::vector<Pair> train, dev, test;
  ReadCounts counts;
};

/// The side of the split on which a sentence falls.
enum class Side { train, dev, test };

/// 64-bit FNV-1a.
std::uint64_t fnv1a64(std::string_view bytes);

/// What variants of an English sentence have in common: its a-z, lowered, and its word breaks.
std::string split_key(std::string_view english);

/// The side is a function of the English sentence alone, so that it stays the same as corpora grow.
Side side_of(std::string_view english, CorpusOptions const& options);

/// The language code for a folder of catalogues ("pt_BR", "zh_CN" -> "zh_Hans", "de_AT" -> "de"); empty for English and
/// C.
std::string language_of(std::string_view locale);

/// The pairs of all catalogues that `options` selects, cleaned, without duplicates, in the order of the paths.
/// @throws DataError for a missing root, a damaged catalogue, or where no catalogue is found.
std::vector<Pair> read_catalogues(CorpusOptions const& options, ReadCounts& counts);

/// The pairs of a tab-separated file, without duplicates, in the order of the lines.
/// @throws DataError for an empty file, and, naming file and line, for a line without exactly two tabs, an empty field,
/// a control character, or bytes that are not UTF-8.
std::vector<Pair> read_tab_separated(CorpusOptions const& options, ReadCounts& counts);

/// Reads either source and divides it.
/// @throws DataError as the readers, and as `require_pairs`.
Corpus read_corpus(CorpusOptions const& options);

/// Throws DataError where no pair is left to train on, none of a language that the options name, or none that is held
/// out for the test.
void require_pairs(CorpusOptions const& options, ReadCounts const& counts, std::vector<Pair> const& train,
                   std::vector<Pair> const& dev, std::vector<Pair> const& test);

}  // namespace translation
