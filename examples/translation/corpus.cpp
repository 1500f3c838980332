// SPDX-License-Identifier: Apache-2.0
#include "corpus.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

#include <gshard/core/options.hpp>

#include "characters.hpp"
#include "data_error.hpp"
#include "mo_file.hpp"
#include "utf8.hpp"

namespace translation {
namespace {

namespace fs = std::filesystem;
using gshard::detail::concat;

/// Keeps the pairs that are new and fit, and counts the others.
class Collector {
 public:
  Collector(CorpusOptions const& options, ReadCounts& counts) : options_(options), counts_(counts) {}

  void add(Pair pair, Refusal refusal) {
    ++counts_.messages;
    if (refusal != Refusal::none) {
      ++counts_.refused[static_cast<std::size_t>(refusal)];
    } else if (!seen_.insert(pair.language + '\t' + pair.source).second) {
      ++counts_.duplicates;
    } else {
      pairs_.push_back(std::move(pair));
    }
  }

  /// Cleans first.
  void add_message(std::string const& language, std::string const& english, std::string const& source) {
    for (auto& [left, right] : split_paragraphs(english, source)) {
      Pair pair{language, std::move(right), std::move(left)};
      Refusal const refusal = clean(pair, options_.words);
      add(std::move(pair), refusal);
    }
  }

  std::vector<Pair> take() { return std::move(pairs_); }

 private:
  CorpusOptions const& options_;
  ReadCounts& counts_;
  std::vector<Pair> pairs_;
  std::unordered_set<std::string> seen_;
};

/// A code point as "U+0000".
std::string code_point_name(char32_t point) {
  std::string digits;
  for (int shift = 20; shift >= 0; shift -= 4) digits.push_back("0123456789ABCDEF"[point >> shift & 0xF]);
  return "U+" + digits.substr(digits[0] != '0' ? 0 : digits[1] != '0' ? 1 : 2);
}

bool contains(std::vector<std::string> const& list, std::string const& entry) {
  return std::ranges::find(list, entry) != list.end();
}

std::string joined(auto const& list) {
  std::string result;
  for (auto const& entry : list) result += (result.empty() ? "" : ", ") + fs::path(entry).string();
  return result;
}

/// The catalogues below the roots, in the order of their paths, with their languages.
std::vector<std::pair<fs::path, std::string>> find_catalogues(CorpusOptions const& options) {
  auto const& languages = options.languages.empty() ? default_languages : options.languages;
  std::set<std::string> paths;
  for (auto const& root : options.roots) {
    if (!fs::is_directory(root))
      throw DataError(concat(root.string(), ": no such folder (a root of message catalogues)"));
    for (auto const& entry : fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied)) {
      auto const& path = entry.path();
      bool const fits = path.extension() == ".mo" && path.parent_path().filename() == "LC_MESSAGES" &&
                        fnmatch(options.domain.c_str(), path.stem().c_str(), 0) == 0;
      if (fits) paths.insert(path.string());
    }
  }
  std::vector<std::pair<fs::path, std::string>> found;
  std::set<fs::path> read;
  for (fs::path const path : paths) {
    auto language = language_of(path.parent_path().parent_path().filename().string());
    if (contains(languages, language) && read.insert(fs::canonical(path)).second)
      found.emplace_back(path, std::move(language));
  }
  if (found.empty()) {
    throw DataError(concat("no message catalogue '", options.domain, ".mo' for ", joined(languages), " below ",
                           joined(options.roots),
                           ": install the Debian package gimp-data, name another root, or give a tab-separated file"));
  }
  return found;
}

}  // namespace

std::uint64_t fnv1a64(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (char const c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string split_key(std::string_view english) {
  std::string key;
  for (char32_t c : decode_utf8(english).value_or(U"")) {
    if (c >= U'A' && c <= U'Z') c = c - U'A' + U'a';
    if (c >= U'a' && c <= U'z') {
      key.push_back(static_cast<char>(c));
    } else if ((is_blank(c) || c == U'-') && !key.empty() && key.back() != ' ') {
      key.push_back(' ');
    }
  }
  if (!key.empty() && key.back() == ' ') key.pop_back();
  return key;
}

Side side_of(std::string_view english, CorpusOptions const& options) {
  std::string const key = split_key(english);
  std::uint64_t const permille = fnv1a64(key.empty() ? english : std::string_view(key)) % 1000;
  if (permille < options.test_permille) return Side::test;
  return permille < options.test_permille + options.dev_permille ? Side::dev : Side::train;
}

std::string language_of(std::string_view locale) {
  static constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"pt_BR", "pt_BR"},      {"zh_CN", "zh_Hans"},    {"zh_TW", "zh_Hant"},       {"zh_HK", "zh_Hant"},
      {"sr@latin", "sr_Latn"}, {"be@latin", "be_Latn"}, {"uz@cyrillic", "uz_Cyrl"}, {"no", "nb"}};
  if (locale.starts_with("en") || locale == "C" || locale.starts_with("C.")) return {};
  auto const known = std::ranges::find(names, locale, &std::pair<std::string_view, std::string_view>::first);
  return std::string(known != std::end(names) ? known->second : locale.substr(0, locale.find_first_of("_@.")));
}

std::vector<Pair> read_catalogues(CorpusOptions const& options, ReadCounts& counts) {
  Collector collector(options, counts);
  for (auto const& [path, language] : find_catalogues(options)) {
    auto const file = read_mo(path);
    ++counts.files;
    counts.files_of_unknown_charset += !file.known_charset;
    for (auto const& [context, english, translation] : file.entries) {
      // The singular of a language with more than two forms can stand for 21 or 31 as well, so only the last form is
      // sure.
      if (english.size() == 1 || translation.size() == 2) collector.add_message(language, english[0], translation[0]);
      if (english.size() > 1) collector.add_message(language, english[1], translation.back());
    }
  }
  return collector.take();
}

std::vector<Pair> read_tab_separated(CorpusOptions const& options, ReadCounts& counts) {
  Collector collector(options, counts);
  std::string const content = read_file(options.file);
  if (content.starts_with("\xFF\xFE") || content.starts_with("\xFE\xFF"))
    throw DataError(options.file.string() + ": the text is UTF-16; convert it to UTF-8");
  if (content.empty()) throw DataError(options.file.string() + ": the file is empty");
  std::int64_t number = 0;
  for (std::string_view rest = content; !rest.empty();) {
    auto const end = std::min(rest.find('\n'), rest.size());
    auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);

    auto const fail = [&](std::string const& what) {
      throw DataError(concat(options.file.string(), ":", number, ": ", what));
    };
    auto const characters = decode_utf8(line);
    if (!characters) fail("the line is not valid UTF-8");
    auto const control = std::ranges::find_if(*characters, [](char32_t c) { return is_control(c) && c != U'\t'; });
    if (control != characters->end())
      fail(concat("the line has the control character ", code_point_name(*control), " as number ",
                  control - characters->begin() + 1, " of its characters"));
    auto const tabs = std::ranges::count(line, '\t');
    if (tabs != 2) fail(concat("expected language<TAB>source<TAB>English, with 2 tabs, but the line has ", tabs));
    std::u32string_view const all = *characters;
    auto const first = all.find(U'\t'), second = all.find(U'\t', first + 1);
    auto const language = trimmed(all.substr(0, first)), source = trimmed(all.substr(first + 1, second - first - 1)),
               english = trimmed(all.substr(second + 1));
    for (auto const& [field, name] : {std::pair(language, "language"), {source, "source"}, {english, "English"}})
      if (field.empty()) fail(concat("the ", name, " field is empty"));
    Pair pair{encode_utf8(language), encode_utf8(source), encode_utf8(english)};
    if (!options.languages.empty() && !contains(options.languages, pair.language)) continue;
    auto const words = count_words(english);
    bool const counts_fit = words >= options.words.min && words <= options.words.max;
    collector.add(std::move(pair), !counts_fit                    ? Refusal::word_count
                                   : is_too_long(english, source) ? Refusal::too_long
                                                                  : Refusal::none);
  }
  counts.files = 1;
  return collector.take();
}

Corpus read_corpus(CorpusOptions const& options) {
  using namespace gshard::detail;
  require_at_least("words.min", options.words.min, 1);
  require_at_least("words.max", options.words.max, options.words.min);
  require_at_least("max_pieces", options.max_pieces, 1);
  require_option(options.test_permille < 1000 && options.dev_permille < 1000 - options.test_permille,
                 "test_permille + dev_permille", options.test_permille + options.dev_permille, "less than 1000");
  Corpus corpus;
  auto pairs =
      options.file.empty() ? read_catalogues(options, corpus.counts) : read_tab_separated(options, corpus.counts);
  for (auto& pair : pairs) {
    Side const side = side_of(pair.english, options);
    (side == Side::test ? corpus.test : side == Side::dev ? corpus.dev : corpus.train).push_back(std::move(pair));
  }
  require_pairs(options, corpus.counts, corpus.train, corpus.dev, corpus.test);
  return corpus;
}

void require_pairs(CorpusOptions const& options, ReadCounts const& counts, std::vector<Pair> const& train,
                   std::vector<Pair> const& dev, std::vector<Pair> const& test) {
  std::string const origin = options.file.empty() ? joined(options.roots) : options.file.string();
  auto const has_language = [](std::vector<Pair> const& pairs, std::string const& language) {
    return std::ranges::find(pairs, language, &Pair::language) != pairs.end();
  };
  if (train.empty()) {
    std::string refused;
    for (std::size_t i = 1; i < counts.refused.size(); ++i) {
      if (counts.refused[i] > 0) refused += concat(", ", counts.refused[i], " ", name_of(static_cast<Refusal>(i)));
    }
    std::string const languages = !options.languages.empty() ? joined(options.languages)
                                  : options.file.empty()     ? joined(default_languages)
                                                             : "all";
    throw DataError(concat(origin, ": no pair to train on (", counts.messages,
                           " read; refused:", refused.empty() ? " none" : refused.substr(1), "; ", counts.duplicates,
                           " duplicates; ", dev.size() + test.size(), " held out; English wanted: ", options.words.min,
                           " to ", options.words.max, " words; languages: ", languages, ")"));
  }
  for (std::string const& language : options.languages)
    if (!has_language(train, language))
      throw DataError(concat(origin, ": no pair of language '", language, "' to train on"));
  if (test.empty() && options.test_permille > 0)
    throw DataError(concat(origin, ": none of its English sentences is among the ", options.test_permille,
                           " in 1000 that are held out to score on (pairs to train on: ", train.size(),
                           "); give more text"));
}

}  // namespace translation
