// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace translation::test {

/// A folder that lives as long as the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("gshard-translation-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  std::filesystem::path const& path() const { return path_; }

  std::filesystem::path write(std::filesystem::path const& name, std::string_view content) const {
    auto const file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

 private:
  std::filesystem::path path_;
};

struct MoLayout {
  bool big_endian = false;
  std::uint32_t revision = 0;
};

/// The bytes of a catalogue: header of 7 words, table of originals, table of translations, the strings with a NUL each.
inline std::string mo_bytes(std::vector<std::pair<std::string, std::string>> const& messages, MoLayout layout = {}) {
  std::string bytes;
  auto const word = [&](std::size_t value) {
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(value >> 8 * (layout.big_endian ? 3 - i : i) & 0xff));
  };
  std::size_t const count = messages.size(), originals = 28, translations = originals + 8 * count;
  for (std::size_t const value :
       {std::size_t{0x950412de}, std::size_t{layout.revision}, count, originals, translations, {}, {}})
    word(value);
  std::string strings;
  for (bool const translated : {false, true}) {
    for (auto const& [original, translation] : messages) {
      auto const& text = translated ? translation : original;
      word(text.size());
      word(translations + 8 * count + strings.size());
      strings += text + '\0';
    }
  }
  return bytes + strings;
}

inline std::pair<std::string, std::string> mo_header(std::string const& charset) {
  return {"", "Language: xx\nContent-Type: text/plain; charset=" + charset + "\nPlural-Forms: nplurals=2;\n"};
}

}  // namespace translation::test
