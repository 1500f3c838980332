// SPDX-License-Identifier: Apache-2.0
#include "clean.hpp"

#include <doctest/doctest.h>

#include "utf8.hpp"

using namespace translation;

TEST_CASE("UTF-8 is decoded strictly and encoded back") {
  for (std::string const text : {"", "plain", "größer", "日本語", "☕", "\xF0\x9F\x98\x80"}) {
    auto const points = decode_utf8(text);
    REQUIRE(points.has_value());
    CHECK(encode_utf8(*points) == text);
  }
  CHECK(decode_utf8("\xF0\x9F\x98\x80") == U"\U0001F600");
  // A lone continuation, a cut sequence, an overlong slash, a surrogate, a point beyond the last.
  for (std::string const bytes : {"\x80", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF"}) {
    CHECK_FALSE(decode_utf8(bytes).has_value());
  }
}

TEST_CASE("what is no language is taken out") {
  struct Case {
    std::string raw, plain;
  };
  Case const cases[] = {
      {"_Open file", "Open file"},  // GTK accelerator
      {"Save _as", "Save as"},
      {"snake_case and _more", "snake_case and _more"},  // twice: no accelerator (and refused later)
      {"~Open", "Open"},                                 // LibreOffice accelerator
      {"&Open && run", "Open && run"},                   // Qt accelerator
      {"ファイル(_F)", "ファイル"},                      // accelerator of CJK translations
      {"noun^Open file", "Open file"},                   // context of Wesnoth
      {"<b>Bold</b> text", "Bold text"},                 // tags
      {"1 < 2 and 3 > 2", "1 < 2 and 3 > 2"},            // no tag
      {"Fish &amp; chips &quot;hot&quot;", "Fish & chips \"hot\""},
      {"  two\n\tlines\u00A0here\u3000now  ", "two lines here now"},
      {"soft\u00ADhyphen\u200B and \u202Bbidi\u202C", "softhyphen and bidi"},
  };
  for (auto const& [raw, plain] : cases) CHECK(encode_utf8(normalise(*decode_utf8(raw))) == plain);
}

TEST_CASE("pairs that teach nothing are refused, with the reason") {
  struct Case {
    std::string language, english, source;
    Refusal refusal;
  };
  std::string const long_word(301, 'a');
  Case const cases[] = {
      {"de", "_Open the file", "Die Datei _öffnen", Refusal::none},
      {"de", "<br>", "<br>", Refusal::empty},
      {"de", std::string("Open the\0file", 13), "Die Datei öffnen", Refusal::forbidden_character},
      {"de", "Open the file", "Die Datei \x1B[1m öffnen", Refusal::forbidden_character},
      {"de", "Open %s now", "%s jetzt öffnen", Refusal::forbidden_character},
      {"de", "Open the file", "Datei @ öffnen", Refusal::forbidden_character},
      {"de", "Open -- or not", "Öffnen oder nicht", Refusal::forbidden_character},
      {"de", "Open", "Öffnen", Refusal::word_count},
      {"de", "one two three four five six seven eight nine ten eleven", "eins zwei drei", Refusal::word_count},
      {"de", "Open " + long_word, "Öffnen", Refusal::too_long},
      {"de", "JPEG 2000", "Das JPEG 2000", Refusal::few_letters},  // capitals do not count: acronyms
      {"de", "Open the file", "12345 678 öffnen", Refusal::few_letters},
      {"de", "Gaussian Blur", "gaussian blur", Refusal::untranslated},
      {"ru", "Open the file", "Open файл the file now", Refusal::wrong_script},  // 4 of 18 letters
      {"ru", "Open the file", "Открыть файл", Refusal::none},
      {"sr_Latn", "Open the file", "Otvori datoteku", Refusal::none},
      {"de", "Open the file", "ö", Refusal::length_ratio},  // 13 characters: 1.2 to 38.5
      {"de", "Open the file", "Die ausgewählte Datei jetzt gleich öffnen", Refusal::length_ratio},
      {"ja", "Open the file", "開く", Refusal::none},                     // 13 characters: -0.44 to 28
      {"ja", "Open the selected file now", "開", Refusal::length_ratio},  // 26 characters: from 1.12
  };
  for (auto const& [language, english, source, refusal] : cases) {
    CAPTURE(english);
    CAPTURE(source);
    Pair pair{language, source, english};
    CHECK(name_of(clean(pair, {})) == name_of(refusal));
  }
  Pair pair{"de", "Die Datei _öffnen", "_Open the file"};
  clean(pair, {});
  CHECK(pair == Pair{"de", "Die Datei öffnen", "Open the file"});
}

TEST_CASE("the limits on words are included and can be changed") {
  std::pair<std::u32string, std::int64_t> const texts[] = {
      {U"", 0},
      {U"  ", 0},
      {U"one", 1},
      {U"one two three", 3},
      {U" one  two ", 2},
      {U"one\u00A0two", 2},             // no-break space
      {U"one\u3000two\u2003three", 3},  // ideographic space, em space
      {U"one\u2028two", 2},             // line separator
  };
  for (auto const& [text, words] : texts) CHECK(count_words(text) == words);
  Pair pair{"de", "Die Datei öffnen", "Open the file"};
  CHECK(clean(pair, {3, 3}) == Refusal::none);
  CHECK(clean(pair, {4, 9}) == Refusal::word_count);
  CHECK(clean(pair, {1, 2}) == Refusal::word_count);
}

TEST_CASE("paragraphs are paired where both sides have as many") {
  using Parts = std::vector<std::pair<std::string, std::string>>;
  CHECK(split_paragraphs("One.\n\nTwo.", "Eins.\n\n\nZwei.\n") == Parts{{"One.", "Eins."}, {"Two.", "Zwei.\n"}});
  CHECK(split_paragraphs("One.\n\nTwo.", "Eins. Zwei.") == Parts{{"One.\n\nTwo.", "Eins. Zwei."}});
  CHECK(split_paragraphs("One.\nStill one.", "Eins.") == Parts{{"One.\nStill one.", "Eins."}});
}
