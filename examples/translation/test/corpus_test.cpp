// SPDX-License-Identifier: Apache-2.0
#include "corpus.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "data_error.hpp"
#include "fixtures.hpp"

using namespace translation;
using namespace translation::test;
using namespace std::string_literals;

namespace {

std::vector<Pair> catalogues_below(std::filesystem::path const& root, CorpusOptions options = {}) {
  options.roots = {root};
  ReadCounts counts;
  return read_catalogues(options, counts);
}

std::string de(std::string const& domain) { return "share/locale/de/LC_MESSAGES/" + domain + ".mo"; }

/// A sentence of three words, different for each number.
std::string sentence(int number) {
  std::string word;
  for (int n = number + 1; n > 0; n /= 26) word.push_back(static_cast<char>('a' + n % 26));
  return "set " + word + " now";
}

}  // namespace

TEST_CASE("folder names become language codes; English and C are no languages to translate from") {
  std::pair<std::string, std::string> const cases[] = {{"de", "de"},
                                                       {"de_AT", "de"},
                                                       {"pt_BR", "pt_BR"},
                                                       {"pt", "pt"},
                                                       {"zh_CN", "zh_Hans"},
                                                       {"zh_TW", "zh_Hant"},
                                                       {"zh_HK", "zh_Hant"},
                                                       {"sr@latin", "sr_Latn"},
                                                       {"uz@cyrillic", "uz_Cyrl"},
                                                       {"no", "nb"},
                                                       {"nb", "nb"},
                                                       {"ca@valencia", "ca"},
                                                       {"de_DE.UTF-8", "de"},
                                                       {"en_GB", ""},
                                                       {"en", ""},
                                                       {"en@boldquot", ""},
                                                       {"C", ""},
                                                       {"C.UTF-8", ""}};
  for (auto const& [folder, language] : cases) CHECK(language_of(folder) == language);
}

TEST_CASE("FNV-1a gives its published values") {
  CHECK(fnv1a64("") == 0xcbf29ce484222325);
  CHECK(fnv1a64("a") == 0xaf63dc4c8601ec8c);
  CHECK(fnv1a64("foobar") == 0x85944171f73967e8);
}

TEST_CASE("variants of an English sentence have one key, and so one side") {
  CHECK(split_key("Open...") == "open");
  CHECK(split_key("Increase by 1") == "increase by");
  CHECK(split_key("Increase by 10") == "increase by");
  CHECK(split_key("Anti-aliasing  (slow)") == "anti aliasing slow");
  CorpusOptions const options;
  for (int i = 0; i < 100; ++i) CHECK(side_of(sentence(i), options) == side_of(sentence(i) + " 12!", options));
}

TEST_CASE("about 5 % of the sentences are for test, 1 % for dev, whatever else there is") {
  std::map<Side, int> counts;
  for (int i = 0; i < 10'000; ++i) ++counts[side_of(sentence(i), {})];
  CHECK(counts[Side::test] == doctest::Approx(500).epsilon(0.15));
  CHECK(counts[Side::dev] == doctest::Approx(100).epsilon(0.3));
  CorpusOptions const smaller{.test_permille = 20};
  for (int i = 0; i < 1000; ++i) {
    if (side_of(sentence(i), smaller) == Side::test) CHECK(side_of(sentence(i), {}) == Side::test);
  }
}

TEST_CASE(
    "catalogues of GIMP 2 and 3 are found at any depth, in the order of their paths, the first of equal sources wins") {
  TemporaryFolder const folder;
  folder.write(de("gimp30-python"), mo_bytes({mo_header("UTF-8"), {"Open the file", "Datei öffnen"}}));
  folder.write(de("gimp30"),
               mo_bytes({mo_header("UTF-8"), {"Open a file", "Datei öffnen"}, {"Blur it", "Weichzeichnen"}}));
  folder.write(de("gimp20"), mo_bytes({mo_header("UTF-8"), {"Sharpen the picture", "Das Bild schärfen"}}));
  folder.write(de("inkscape"), mo_bytes({mo_header("UTF-8"), {"Draw a circle", "Einen Kreis zeichnen"}}));
  folder.write("share/locale/de/LC_TIME/gimp30.mo", "not looked at");
  folder.write("share/locale/en_GB/LC_MESSAGES/gimp30.mo", "not looked at");
  folder.write("share/locale/fi/LC_MESSAGES/gimp30.mo", "not looked at");
  std::filesystem::create_symlink(folder.path() / de("gimp30"), folder.path() / de("gimp30-zlink"));

  auto const pairs = catalogues_below(folder.path());
  CHECK(pairs == std::vector<Pair>{{"de", "Das Bild schärfen", "Sharpen the picture"},
                                   {"de", "Datei öffnen", "Open the file"},
                                   {"de", "Weichzeichnen", "Blur it"}});
  CHECK(catalogues_below(folder.path(), {.domain = "inkscape"}).size() == 1);
}

TEST_CASE("of plural forms the last is sure, the first only where there are two") {
  TemporaryFolder const folder;
  folder.write(de("gimp30"), mo_bytes({mo_header("UTF-8"),
                                       {"one big file\0many big files"s, "eine große Datei\0viele große Dateien"s}}));
  folder.write(
      "pl/LC_MESSAGES/gimp30.mo",
      mo_bytes({mo_header("UTF-8"), {"one big file\0many big files"s, "jeden plik\0dwa pliki\0wiele plików"s}}));
  CHECK(catalogues_below(folder.path(), {.languages = {"de", "pl"}}) ==
        std::vector<Pair>{{"pl", "wiele plików", "many big files"},
                          {"de", "eine große Datei", "one big file"},
                          {"de", "viele große Dateien", "many big files"}});
}

TEST_CASE("missing and damaged catalogues are named") {
  TemporaryFolder const folder;
  CHECK_THROWS_WITH_AS(catalogues_below("/no/such"), "/no/such: no such folder (a root of message catalogues)",
                       DataError);
  CHECK_THROWS_WITH_AS(
      catalogues_below(folder.path()),
      doctest::Contains("no message catalogue 'gimp[23]0*.mo' for de, fr, es, it, nl, sv, pt, da below"), DataError);
  folder.write(de("gimp30"), "damaged");
  CHECK_THROWS_WITH_AS(catalogues_below(folder.path()), doctest::Contains("gimp30.mo: not a GNU .mo file"), DataError);
}

TEST_CASE("a tab-separated file is taken as it is, but for limits on words, the wanted languages and duplicates") {
  TemporaryFolder const folder;
  auto const file = folder.write("text.tsv",
                                 "de\tDatei öffnen\tOpen the file\r\n"
                                 "de\tDatei öffnen\tOpen a file\n"
                                 "fi\tAvaa _tiedosto\tOpen the _file\n"
                                 "de\tÖffnen\tOpen\n"
                                 "fr\tOuvrir le fichier\tOpen the file");
  ReadCounts counts;
  CHECK(read_tab_separated({.file = file}, counts) == std::vector<Pair>{{"de", "Datei öffnen", "Open the file"},
                                                                        {"fi", "Avaa _tiedosto", "Open the _file"},
                                                                        {"fr", "Ouvrir le fichier", "Open the file"}});
  CHECK(counts.duplicates == 1);
  CHECK(counts.refused[static_cast<std::size_t>(Refusal::word_count)] == 1);
  CHECK(read_tab_separated({.file = file, .languages = {"fr"}}, counts).size() == 1);
}

TEST_CASE("a malformed line is refused with file, line and reason") {
  TemporaryFolder const folder;
  struct Case {
    std::string line, message;
  };
  Case const cases[] = {
      {"de\tDatei öffnen", "expected language<TAB>source<TAB>English, with 2 tabs, but the line has 1"},
      {"de\ta b\tc d\te", "expected language<TAB>source<TAB>English, with 2 tabs, but the line has 3"},
      {"", "expected language<TAB>source<TAB>English, with 2 tabs, but the line has 0"},
      {"de\tDatei \xF6"
       "ffnen\tOpen the file",
       "the line is not valid UTF-8"},
      {"\tDatei öffnen\tOpen the file", "the language field is empty"},
      {"de\t  \tOpen the file", "the source field is empty"},
      {"de\tDatei öffnen\t", "the English field is empty"},
      {"\u3000\u00A0\tDatei öffnen\tOpen the file", "the language field is empty"},
      {"de\t\u2003\u200B\tOpen the file", "the source field is empty"},
      {"de\tDatei\tOpen\0the file"s, "the line has the control character U+0000 as number 14 of its characters"},
      {"de\tDätei\x1B[1m\tOpen the file", "the line has the control character U+001B as number 9 of its characters"},
      {"de\tDatei\u0085\tOpen the file", "the line has the control character U+0085 as number 9 of its characters"},
      {"de\tDatei\tOpen the file\rde\tBild\tOpen the image",
       "the line has the control character U+000D as number 23 of its characters"},
  };
  for (auto const& [line, message] : cases) {
    auto const file =
        folder.write("text.tsv", "de\tDatei öffnen\tOpen the file\n" + line + "\nde\tSichern als\tSave as\n");
    CHECK_THROWS_WITH_AS(read_corpus({.file = file}), (file.string() + ":2: " + message).c_str(), DataError);
  }
  CHECK_THROWS_WITH_AS(read_corpus({.file = "/no/such.tsv"}), "/no/such.tsv: no such file", DataError);
}

TEST_CASE("no English sentence is on two sides, and every pair is on one") {
  TemporaryFolder const folder;
  std::string lines;
  for (int i = 0; i < 2000; ++i) {
    for (std::string const language : {"xx", "yy"})
      lines += language + "\t" + language + " " + sentence(i) + "\t" + sentence(i) + "\n";
  }
  auto const corpus = read_corpus({.file = folder.write("text.tsv", lines)});
  CHECK(corpus.train.size() + corpus.dev.size() + corpus.test.size() == 4000);
  std::map<std::string, std::set<int>> sides;
  int side = 0;
  for (auto const* pairs : {&corpus.train, &corpus.dev, &corpus.test}) {
    CHECK_FALSE(pairs->empty());
    for (auto const& pair : *pairs) sides[pair.english].insert(side);
    ++side;
  }
  CHECK(sides.size() == 2000);
  for (auto const& [english, on] : sides) CHECK(on.size() == 1);
}

TEST_CASE("a corpus without a pair to train on is refused with the reasons") {
  TemporaryFolder const folder;
  auto const file = folder.write("text.tsv", "de\tÖffnen\tOpen\nde\tSichern\tSave\n");
  CHECK_THROWS_WITH_AS(
      read_corpus({.file = file}),
      (file.string() +
       ": no pair to train on (2 read; refused: 2 too few or too many words; 0 duplicates; 0 held out; English "
       "wanted: 2 to 10 words; languages: all)")
          .c_str(),
      DataError);
  auto const one = folder.write("one.tsv", "de\tDatei öffnen\tOpen the file\n");
  CHECK_THROWS_WITH_AS(read_corpus({.file = one}),
                       (one.string() + ": none of its English sentences is among the 50 in 1000 that are held out to "
                                       "score on (pairs to train on: 1); give more text")
                           .c_str(),
                       DataError);
  CHECK(read_corpus({.file = one, .test_permille = 0}).train.size() == 1);
  CHECK_THROWS_WITH_AS(read_corpus({.file = one, .languages = {"de", "fr"}, .test_permille = 0}),
                       (one.string() + ": no pair of language 'fr' to train on").c_str(), DataError);
}

TEST_CASE("files that hold no text are refused") {
  TemporaryFolder const folder;
  std::pair<std::string, std::string> const cases[] = {
      {"", "the file is empty"},
      {std::string("\xFF\xFE") + std::string("d\0e\0", 4), "the text is UTF-16; convert it to UTF-8"},
      {std::string("\xFE\xFF") + std::string("\0d\0e", 4), "the text is UTF-16; convert it to UTF-8"},
  };
  for (auto const& [content, message] : cases) {
    auto const file = folder.write("text.tsv", content);
    CHECK_THROWS_WITH_AS(read_corpus({.file = file}), (file.string() + ": " + message).c_str(), DataError);
  }
  CHECK_THROWS_WITH_AS(read_corpus({.file = folder.path()}),
                       (folder.path().string() + ": a folder, where a file is expected").c_str(), DataError);
}

TEST_CASE("byte-order marks and blanks around fields, beyond ASCII too, make no languages and no words") {
  TemporaryFolder const folder;
  auto const file =
      folder.write("text.tsv",
                   "\uFEFFde\tDatei öffnen\tOpen the file\r\n"
                   "\uFEFFde \t\u3000Bild\u00A0öffnen\tOpen the image\u2003\n"  // of a second file behind the first
                   "de\tEins\tone\u00A0\u00A0\n"                                // one word
                   "de\tZwei\tone\u3000two\n");
  ReadCounts counts;
  CHECK(read_tab_separated({.file = file}, counts) == std::vector<Pair>{{"de", "Datei öffnen", "Open the file"},
                                                                        {"de", "Bild\u00A0öffnen", "Open the image"},
                                                                        {"de", "Zwei", "one\u3000two"}});
  CHECK(counts.refused[static_cast<std::size_t>(Refusal::word_count)] == 1);
}

TEST_CASE("sentences of few words and many characters are left out") {
  TemporaryFolder const folder;
  auto const word = [](std::size_t size) { return std::string(size, 'a'); };
  auto const file = folder.write("text.tsv", "de\t" + word(400) + "\tone " + word(296) + "\n" +  //
                                                 "de\t" + word(401) + "\tone two\n" +            //
                                                 "de\tb\tone " + word(297) + "\n" +              //
                                                 "de\tc\tone " + word(1 << 20) + "\n");
  ReadCounts counts;
  CHECK(read_tab_separated({.file = file}, counts).size() == 1);
  CHECK(counts.refused[static_cast<std::size_t>(Refusal::too_long)] == 3);
}

TEST_CASE("options of a corpus are checked before anything is read") {
  std::pair<CorpusOptions, std::string> const cases[] = {
      {{.words = {0, 10}}, "option words.min = 0: give 1 or more"},
      {{.words = {-5, 10}}, "option words.min = -5: give 1 or more"},
      {{.words = {11, 10}}, "option words.max = 10: give 11 or more"},
      {{.max_pieces = 0}, "option max_pieces = 0: give 1 or more"},
      {{.test_permille = 900, .dev_permille = 100}, "option test_permille + dev_permille = 1000: give less than 1000"},
  };
  for (auto const& [options, message] : cases)
    CHECK_THROWS_WITH_AS(read_corpus(options), message.c_str(), gshard::OptionError);
}
