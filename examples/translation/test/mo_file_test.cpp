// SPDX-License-Identifier: Apache-2.0
#include "mo_file.hpp"

#include <doctest/doctest.h>

#include "data_error.hpp"
#include "fixtures.hpp"

using namespace translation;
using namespace translation::test;
using namespace std::string_literals;

TEST_CASE("a catalogue of either byte order and of each known revision gives its messages") {
  for (bool const big_endian : {false, true}) {
    for (std::uint32_t const revision : {0u, 1u, 0x10000u, 0x10001u}) {
      auto const bytes =
          mo_bytes({mo_header("UTF-8"), {"Open file", "Datei öffnen"}, {"Save", "Sichern"}}, {big_endian, revision});
      auto const file = parse_mo(bytes, "de.mo");
      CHECK(file.charset == "UTF-8");
      REQUIRE(file.entries.size() == 2);
      CHECK(file.entries[0].english == std::vector{"Open file"s});
      CHECK(file.entries[0].translation == std::vector{"Datei öffnen"s});
      CHECK(file.entries[1].english == std::vector{"Save"s});
    }
  }
}

TEST_CASE("contexts are cut, plural forms are separate, untranslated messages are left out") {
  auto const file = parse_mo(mo_bytes({mo_header("utf-8"),
                                       {"menu\4Open", "Öffnen"},
                                       {"%d file\0%d files"s, "%d Datei\0%d Dateien"s},
                                       {"one\0many"s, "a\0b\0c"s},
                                       {"not translated", ""}}),
                             "de.mo");
  REQUIRE(file.entries.size() == 3);
  CHECK(file.entries[0].context == "menu");
  CHECK(file.entries[0].english == std::vector{"Open"s});
  CHECK(file.entries[1].english == std::vector{"%d file"s, "%d files"s});
  CHECK(file.entries[1].translation == std::vector{"%d Datei"s, "%d Dateien"s});
  CHECK(file.entries[2].translation == std::vector{"a"s, "b"s, "c"s});
}

TEST_CASE("other charsets are converted; without a converter the entries stay out") {
  auto const latin = parse_mo(mo_bytes({mo_header("ISO-8859-1"),
                                        {"Open",
                                         "\xD6"
                                         "ffnen"}}),
                              "de.mo");
  REQUIRE(latin.known_charset);
  CHECK(latin.entries.at(0).translation.at(0) == "Öffnen");

  auto const unknown = parse_mo(mo_bytes({mo_header("KLINGON-7"),
                                          {"Open",
                                           "\xD6"
                                           "ffnen"}}),
                                "tlh.mo");
  CHECK(unknown.charset == "KLINGON-7");
  CHECK_FALSE(unknown.known_charset);
  CHECK(unknown.entries.empty());
}

TEST_CASE("a damaged catalogue is refused with its name and the place") {
  auto const good = mo_bytes({mo_header("UTF-8"), {"Open", "Öffnen"}});
  auto const with_byte = [&](std::size_t at, char value) {
    auto bytes = good;
    bytes[at] = value;
    return bytes;
  };
  struct Case {
    std::string bytes, message;
  };
  Case const cases[] = {
      {"", "x.mo: cut short: the magic number at byte 0 lies beyond the 0 bytes"},
      {"GIF89a..", "x.mo: not a GNU .mo file (wrong magic number)"},
      {good.substr(0, 10), "x.mo: cut short: the number of strings at byte 8 lies beyond the 10 bytes"},
      {mo_bytes({}, {false, 0x20000}), "x.mo: revision 2 of the format is not known (0 and 1 are)"},
      {with_byte(15, '\x7f'), "x.mo: cut short: a table of strings at byte 2130706460 lies beyond the 154 bytes"},
      {with_byte(39, '\x7f'), "x.mo: string 1 (2130706436 bytes at 61) lies beyond the 154 bytes"},
      {with_byte(43, '\xff'), "x.mo: string 1 (4 bytes at 4278190141) lies beyond the 154 bytes"},
      {mo_bytes({mo_header("UTF-8"),
                 {"Open",
                  "\xD6"
                  "ffnen"}}),
       "x.mo: string 1 is not UTF-8, the charset that the header names"},
  };
  for (auto const& [bytes, message] : cases) CHECK_THROWS_WITH_AS(parse_mo(bytes, "x.mo"), message.c_str(), DataError);
}

TEST_CASE("a file that cannot be read is named") {
  TemporaryFolder const folder;
  auto const missing = (folder.path() / "missing.mo").string();
  CHECK_THROWS_WITH_AS(read_mo(missing), (missing + ": no such file").c_str(), DataError);
  CHECK_THROWS_WITH_AS(read_mo(folder.path()),
                       (folder.path().string() + ": a folder, where a file is expected").c_str(), DataError);
  auto const path = folder.write("de.mo", mo_bytes({mo_header("UTF-8"), {"Open", "Öffnen"}}));
  CHECK(read_mo(path).entries.size() == 1);
}
