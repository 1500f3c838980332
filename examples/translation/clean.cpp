// SPDX-License-Identifier: Apache-2.0
#include "clean.hpp"

#include <algorithm>
#include <optional>

#include "characters.hpp"
#include "utf8.hpp"

namespace translation {
namespace {

bool is_ascii_letter(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z'); }

/// Letters, as far as ranges of code points tell: beyond ASCII all but the blocks of signs, punctuation and wide forms.
bool is_letter(char32_t c) {
  if (c < 0xC0) return is_ascii_letter(c) || c == 0xAA || c == 0xB5 || c == 0xBA;
  bool const sign = c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c < 0x2C00) || (c >= 0x3000 && c < 0x3005) ||
                    (c >= 0x3008 && c < 0x3021) || (c >= 0xFF00 && c < 0xFF21);
  return !sign;
}

bool is_small_letter(char32_t c) { return c >= U'a' && c <= U'z'; }

char32_t lower(char32_t c) { return c >= U'A' && c <= U'Z' ? c - U'A' + U'a' : c; }

/// Length of the tag that starts at the front of `rest`, 0 if none does.
std::size_t tag_length(std::u32string_view rest) {
  if (rest.size() < 3 || !(is_ascii_letter(rest[1]) || rest[1] == U'/')) return 0;
  auto const end = rest.substr(0, 200).find(U'>');
  return end == std::u32string_view::npos ? 0 : end + 1;
}

std::u32string with_entities_decoded(std::u32string_view text) {
  static constexpr std::pair<std::u32string_view, char32_t> entities[] = {
      {U"&lt;", U'<'}, {U"&gt;", U'>'}, {U"&quot;", U'"'}, {U"&apos;", U'\''}, {U"&amp;", U'&'}};
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    auto const entity =
        std::ranges::find_if(entities, [rest = text.substr(i)](auto const& e) { return rest.starts_with(e.first); });
    bool const found = entity != std::end(entities);
    result.push_back(found ? entity->second : text[i]);
    i += found ? entity->first.size() : 1;
  }
  return result;
}

std::u32string without_tags(std::u32string_view text) {
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    auto const length = text[i] == U'<' ? tag_length(text.substr(i)) : 0;
    if (length == 0) result.push_back(text[i]);
    i += std::max<std::size_t>(length, 1);
  }
  return result;
}

/// Accelerator marks: "(_F)" of CJK translations, "_" and "~" where they stand once, "&" before any letter.
std::u32string without_accelerators(std::u32string_view text) {
  std::u32string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool const marked = text.size() - i >= 4 && text[i] == U'(' && text[i + 3] == U')';
    if (marked && (text[i + 1] == U'_' || text[i + 1] == U'&' || text[i + 1] == U'~')) {
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  for (char32_t const mark : {U'_', U'~', U'&'}) {
    if (mark != U'&' && std::ranges::count(result, mark) != 1) continue;
    std::u32string kept;
    for (std::size_t i = 0; i < result.size(); ++i) {
      bool const before_letter = i + 1 < result.size() && is_letter(result[i + 1]);
      if (result[i] != mark || !before_letter) kept.push_back(result[i]);
    }
    result = std::move(kept);
  }
  return result;
}

bool is_forbidden(char32_t c) {
  return is_control(c) || std::u32string_view(U"%{}$\\<>=@#|/*_^`~[]").find(c) != std::u32string_view::npos;
}

/// Languages of which Latin letters alone say that a text is not translated.
bool has_other_script(std::string_view language) {
  static constexpr std::string_view languages[] = {
      "ab", "am", "ar", "as", "ba", "be", "bg", "bn", "bo", "ce",      "ckb", "cv",  "dv",      "dz",     "el",
      "fa", "gu", "he", "hi", "hy", "ja", "ka", "kk", "km", "kn",      "ko",  "kok", "ky",      "lo",     "mai",
      "mk", "ml", "mn", "mr", "my", "ne", "or", "pa", "ps", "ru",      "sa",  "sat", "sd",      "si",     "sr",
      "ta", "te", "tg", "th", "ti", "tt", "ug", "uk", "ur", "uz_Cyrl", "yi",  "zh",  "zh_Hans", "zh_Hant"};
  return std::ranges::binary_search(languages, language);
}

bool plausible_lengths(std::size_t source_size, std::size_t english_size, std::string_view language) {
  static constexpr std::string_view dense[] = {"bo", "dz", "ja", "km", "ko", "lo", "my", "th"};
  auto const source = static_cast<double>(source_size), english = static_cast<double>(english_size);
  if (language.starts_with("zh") || std::ranges::binary_search(dense, language)) {
    return source >= 0.12 * english - 2 && source <= 2 * english + 2;
  }
  return source >= 0.4 * english - 4 && source <= 2.5 * english + 6;
}

/// The rules for a normalised pair.
Refusal judge(std::u32string_view english, std::u32string_view source, std::int64_t words, WordLimits limits,
              std::string_view language) {
  if (english.empty() || source.empty()) return Refusal::empty;
  if (std::ranges::any_of(english, is_forbidden) || std::ranges::any_of(source, is_forbidden) ||
      english.find(U"--") != std::u32string_view::npos) {
    return Refusal::forbidden_character;
  }
  if (words < limits.min || words > limits.max) return Refusal::word_count;
  if (is_too_long(english, source)) return Refusal::too_long;

  auto const share = [](std::u32string_view text, bool (*counts)(char32_t)) {
    auto const all = std::ranges::count_if(text, [](char32_t c) { return c != U' '; });
    return static_cast<double>(std::ranges::count_if(text, counts)) / static_cast<double>(all);
  };
  if (share(english, is_small_letter) < 0.6 || share(source, is_letter) < 0.6) return Refusal::few_letters;
  if (std::ranges::equal(english, source, {}, lower, lower)) return Refusal::untranslated;
  if (has_other_script(language)) {
    auto const letters = std::ranges::count_if(source, is_letter);
    auto const beyond = std::ranges::count_if(source, [](char32_t c) { return is_letter(c) && c > 0x24F; });
    if (static_cast<double>(beyond) < 0.3 * static_cast<double>(letters)) return Refusal::wrong_script;
  }
  return plausible_lengths(source.size(), english.size(), language) ? Refusal::none : Refusal::length_ratio;
}

std::vector<std::string> paragraphs(std::string_view text) {
  std::vector<std::string> result;
  for (std::size_t begin = text.find_first_not_of('\n'); begin < text.size();) {
    auto const end = std::min(text.find("\n\n", begin), text.size());
    result.emplace_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of('\n', end);
  }
  return result;
}

}  // namespace

std::string_view name_of(Refusal refusal) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Refusal::count)> names = {
      "accepted",     "empty",        "forbidden character", "too few or too many words", "too long", "few letters",
      "untranslated", "wrong script", "length ratio"};
  return names.at(static_cast<std::size_t>(refusal));
}

std::int64_t count_words(std::u32string_view text) {
  std::int64_t words = 0;
  for (std::size_t i = 0; i < text.size(); ++i) words += !is_blank(text[i]) && (i == 0 || is_blank(text[i - 1]));
  return words;
}

bool is_too_long(std::u32string_view english, std::u32string_view source) {
  return english.size() > max_english_characters || source.size() > max_source_characters;
}

std::u32string normalise(std::u32string_view text) {
  if (auto const mark = text.find(U'^'); mark != std::u32string_view::npos) text.remove_prefix(mark + 1);
  std::u32string result;
  for (char32_t const c : without_accelerators(without_tags(with_entities_decoded(text)))) {
    if (is_invisible(c)) continue;
    if (!is_blank(c)) {
      result.push_back(c);
    } else if (!result.empty() && result.back() != U' ') {
      result.push_back(U' ');
    }
  }
  if (!result.empty() && result.back() == U' ') result.pop_back();
  return result;
}

Refusal clean(Pair& pair, WordLimits limits) {
  auto const english = decode_utf8(pair.english), source = decode_utf8(pair.source);
  if (!english || !source) return Refusal::forbidden_character;
  auto const clean_english = normalise(*english), clean_source = normalise(*source);
  pair.english = encode_utf8(clean_english);
  pair.source = encode_utf8(clean_source);
  return judge(clean_english, clean_source, count_words(clean_english), limits, pair.language);
}

std::vector<std::pair<std::string, std::string>> split_paragraphs(std::string_view english, std::string_view source) {
  auto left = paragraphs(english), right = paragraphs(source);
  if (left.size() != right.size() || left.size() < 2) return {{std::string(english), std::string(source)}};
  std::vector<std::pair<std::string, std::string>> result;
  for (std::size_t i = 0; i < left.size(); ++i) result.emplace_back(std::move(left[i]), std::move(right[i]));
  return result;
}

}  // namespace translation
