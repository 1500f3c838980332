// SPDX-License-Identifier: Apache-2.0
#include "bleu.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "data_error.hpp"

using namespace translation;
using Lines = std::vector<std::string>;

TEST_CASE("words are cut as sacreBLEU's tokenizer 13a cuts them") {
  std::pair<std::string, Lines> const cases[] = {
      {"Hello, world!", {"Hello", ",", "world", "!"}},
      {"It costs 1,000.50 euros.", {"It", "costs", "1,000.50", "euros", "."}},
      {"a-b 1-2 x-1", {"a-b", "1", "-", "2", "x-1"}},
      {"don't (stop)", {"don't", "(", "stop", ")"}},
      {"www.x.org:80/y", {"www", ".", "x", ".", "org", ":", "80", "/", "y"}},
      {"Wait... what?", {"Wait", ".", ".", ".", "what", "?"}},
      {"&quot;A &amp; B&quot; <c>", {"\"", "A", "&", "B", "\"", "<", "c", ">"}},
      {".5 5. 1..5", {".", "5", "5", ".", "1", ".", ".", "5"}},
      {"größer — 3.5%", {"größer", "—", "3.5", "%"}},
      {"  ", {}},
      {"no\u00A0break\u3000wide\u2009thin\ttab", {"no", "break", "wide", "thin", "tab"}},
  };
  for (auto const& [text, words] : cases) CHECK(bleu_words(text) == words);
}

TEST_CASE("corpus BLEU of known cases") {
  struct Case {
    char const* name;
    Lines outputs, references;
    double bleu;
  };
  Case const cases[] = {
      {"two words, equal: no 3-grams, so 0 by definition", {"Zhongjian Plaza"}, {"Zhongjian Plaza"}, 0},
      {"four words, equal", {"the red king sleeps"}, {"the red king sleeps"}, 100},
      {"the first 5 of 7 words: brevity alone, 100 exp(1 - 7/5)", {"a b c d e"}, {"a b c d e f g"}, 67.0320046036},
      {"no output", {""}, {"this is what you want"}, 0},
      {"longer output has no brevity penalty: (4/5 3/4 2/3 1/2)^(1/4)",
       {"a b c d x"},
       {"a b c d"},
       100 * std::pow(0.2, 0.25)},
      {"a word counts as often as the reference has it: (2/7 0 0 0)",
       {"the the the the the the the"},
       {"the cat is on the mat now"},
       0},
      {"one sentence, sacreBLEU 2", {"the cat sat on the mat"}, {"the cat sat on a mat"}, 53.7284965912},
      {"counts add up over sentences, sacreBLEU 2",
       {"the cat sat on the mat", "open the selected file now", "a picture of the brush, with 2.5 pixels"},
       {"the cat sat on a mat", "open the selected file", "a picture of the brush with 2.5 pixels"},
       59.4217074647},
      {"nothing at all", {}, {}, 0},
  };
  for (auto const& [name, outputs, references, expected] : cases) {
    CAPTURE(name);
    CHECK(bleu(outputs, references) == doctest::Approx(expected).epsilon(1e-10));
  }
}

TEST_CASE("outputs and references must be as many") {
  CHECK_THROWS_WITH_AS(bleu(Lines{"a", "b", "c"}, Lines{"a"}), "BLEU: 3 outputs beside 1 references", DataError);
  CHECK_THROWS_WITH_AS(score(std::vector<Pair>(2), Lines{"a"}), "BLEU: 1 outputs beside 2 references", DataError);
}

TEST_CASE("scores by language, their mean, and all sentences as one corpus") {
  std::vector<Pair> const pairs = {
      {"fr", "x", "a b c d"}, {"de", "y", "a b c d e f g"}, {"fr", "z", "one two three four"}};
  auto const report = score(pairs, Lines{"a b c d", "a b c d e", "one two three five"});
  REQUIRE(report.languages.size() == 2);
  CHECK(report.languages[0].language == "de");
  CHECK(report.languages[0].counts.bleu() == doctest::Approx(67.0320046));
  CHECK(report.languages[0].counts.exact_match() == 0);
  CHECK(report.languages[1].language == "fr");
  CHECK(report.languages[1].counts.sentences() == 2);
  double const french = 100 * std::pow(7. / 8 * 5 / 6 * 3 / 4 * 1 / 2, 0.25);
  CHECK(report.languages[1].counts.bleu() == doctest::Approx(french));
  CHECK(report.languages[1].counts.exact_match() == 50);
  CHECK(report.average_bleu() == doctest::Approx((67.0320046 + french) / 2));
  CHECK(report.all.sentences() == 3);
  CHECK(report.all.bleu() ==
        doctest::Approx(100 * std::pow(12. / 13 * 9 / 10 * 6 / 7 * 3 / 4, 0.25) * std::exp(1 - 15. / 13)));

  std::ostringstream table;
  table << report;
  CHECK(table.str() ==
        "language   sentences    BLEU     exact\n"
        "de                 1    67.0      0.0%\n"
        "fr                 2    72.3     50.0%\n"
        "average            3    69.7     25.0%\n"
        "as one             3    73.3     33.3%\n");
}
