// SPDX-License-Identifier: Apache-2.0
#include "mo_file.hpp"

#include <iconv.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "data_error.hpp"
#include "utf8.hpp"

namespace translation {
namespace {

using gshard::detail::concat;

/// The 32-bit words and strings of a catalogue, checked against its size.
class Reader {
 public:
  Reader(std::string_view bytes, std::string const& name) : bytes_(bytes), name_(name) {
    std::uint32_t const magic = word(0, "the magic number");
    swapped_ = magic == 0xde120495;
    if (magic != 0x950412de && !swapped_) fail("not a GNU .mo file (wrong magic number)");
  }

  std::uint32_t word(std::uint64_t offset, char const* what) const {
    if (offset + 4 > bytes_.size())
      fail(concat("cut short: ", what, " at byte ", offset, " lies beyond the ", bytes_.size(), " bytes"));
    std::uint32_t value;
    std::memcpy(&value, bytes_.data() + offset, 4);
    if constexpr (std::endian::native == std::endian::big) value = swap(value);
    return swapped_ ? swap(value) : value;
  }

  /// String `index` of the table of (length, offset) pairs at `table`.
  std::string_view string(std::uint64_t table, std::uint32_t index) const {
    std::uint64_t const length = word(table + 8ull * index, "a table of strings");
    std::uint64_t const offset = word(table + 8ull * index + 4, "a table of strings");
    if (offset + length > bytes_.size()) {
      fail(concat("string ", index, " (", length, " bytes at ", offset, ") lies beyond the ", bytes_.size(), " bytes"));
    }
    return bytes_.substr(offset, length);
  }

  [[noreturn]] void fail(std::string const& what) const { throw DataError(concat(name_, ": ", what)); }

 private:
  static std::uint32_t swap(std::uint32_t v) { return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24; }

  std::string_view bytes_;
  std::string const& name_;
  bool swapped_ = false;
};

/// Converts to UTF-8 through iconv; UTF-8 itself is only checked.
class Converter {
 public:
  explicit Converter(std::string const& charset) {
    std::string upper = charset;
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    utf8_ = upper == "UTF-8" || upper == "UTF8" || upper == "US-ASCII" || upper == "ASCII";
    if (!utf8_) descriptor_ = iconv_open("UTF-8", charset.c_str());
  }
  Converter(Converter const&) = delete;
  Converter& operator=(Converter const&) = delete;
  ~Converter() {
    if (known() && !utf8_) iconv_close(descriptor_);
  }

  bool known() const { return utf8_ || descriptor_ != invalid(); }

  std::optional<std::string> convert(std::string_view bytes) const {
    if (utf8_) return decode_utf8(bytes) ? std::optional(std::string(bytes)) : std::nullopt;
    std::string input(bytes), output(bytes.size() * 4 + 16, '\0');
    char *in = input.data(), *out = output.data();
    std::size_t in_left = input.size(), out_left = output.size();
    iconv(descriptor_, nullptr, nullptr, nullptr, nullptr);
    if (iconv(descriptor_, &in, &in_left, &out, &out_left) == static_cast<std::size_t>(-1)) return std::nullopt;
    output.resize(output.size() - out_left);
    return output;
  }

 private:
  static iconv_t invalid() { return reinterpret_cast<iconv_t>(-1); }

  iconv_t descriptor_ = invalid();
  bool utf8_ = false;
};

/// The value of "charset=" in the header entry.
std::string charset_of(std::string_view header) {
  static constexpr std::string_view key = "charset=";
  auto const at = header.find(key);
  if (at == std::string_view::npos) return "UTF-8";
  auto const value = header.substr(at + key.size());
  return std::string(value.substr(0, value.find_first_of(" \t\r\n;")));
}

std::vector<std::string> split_at_nul(std::string_view joined) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= joined.size();) {
    auto const end = std::min(joined.find('\0', begin), joined.size());
    parts.emplace_back(joined.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

MoFile parse_mo(std::string_view bytes, std::string const& name) {
  Reader const reader(bytes, name);
  std::uint32_t const revision = reader.word(4, "the revision");
  if (revision >> 16 > 1) reader.fail(concat("revision ", revision >> 16, " of the format is not known (0 and 1 are)"));
  std::uint32_t const count = reader.word(8, "the number of strings");
  std::uint32_t const originals = reader.word(12, "the offset of the originals");
  std::uint32_t const translations = reader.word(16, "the offset of the translations");

  MoFile file{.charset = "UTF-8", .known_charset = true, .entries = {}};
  for (std::uint32_t i = 0; i < count; ++i) {
    if (reader.string(originals, i).empty()) file.charset = charset_of(reader.string(translations, i));
  }
  Converter const converter(file.charset);
  file.known_charset = converter.known();
  if (!file.known_charset) return file;

  auto const utf8 = [&](std::string_view raw, std::uint32_t index) {
    auto converted = converter.convert(raw);
    if (!converted)
      reader.fail(concat("string ", index, " is not ", file.charset, ", the charset that the header names"));
    return *std::move(converted);
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    auto const original = reader.string(originals, i);
    auto const translated = reader.string(translations, i);
    if (original.empty() || translated.empty()) continue;
    std::string english = utf8(original, i), context;
    if (auto const mark = english.find('\x04'); mark != std::string::npos) {
      context = english.substr(0, mark);
      english.erase(0, mark + 1);
    }
    file.entries.push_back({std::move(context), split_at_nul(english), split_at_nul(utf8(translated, i))});
  }
  return file;
}

MoFile read_mo(std::filesystem::path const& path) { return parse_mo(read_file(path), path.string()); }

std::string read_file(std::filesystem::path const& path) {
  if (!std::filesystem::exists(path)) throw DataError(path.string() + ": no such file");
  if (std::filesystem::is_directory(path)) throw DataError(path.string() + ": a folder, where a file is expected");
  std::ifstream stream(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw DataError(path.string() + ": cannot be read");
  return content;
}

}  // namespace translation
