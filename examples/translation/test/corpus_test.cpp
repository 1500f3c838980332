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
       ": no pair to train on (2 read; refused: 2 number of words; 0 duplicates; 0 held out; English wanted: 2 "
       "to 10 words; languages: default)")
          .c_str(),
      DataError);
  CHECK_THROWS_AS(read_corpus({.file = folder.write("empty.tsv", "")}), DataError);
}
