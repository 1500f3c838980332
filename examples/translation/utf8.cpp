// SPDX-License-Identifier: Apache-2.0
#include "utf8.hpp"

#include <bit>
#include <cstddef>

namespace translation {

std::optional<std::u32string> decode_utf8(std::string_view bytes) {
  static constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};  // of a sequence of that many bytes
  std::u32string text;
  text.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    auto const lead = static_cast<unsigned char>(bytes[i]);
    if (lead < 0x80) {
      text.push_back(lead);
      ++i;
      continue;
    }
    auto const length = static_cast<std::size_t>(std::countl_one(lead));
    if (length < 2 || length > 4 || bytes.size() - i < length) return std::nullopt;
    char32_t point = lead & (0x7Fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      auto const next = static_cast<unsigned char>(bytes[i + k]);
      if ((next & 0xC0) != 0x80) return std::nullopt;
      point = (point << 6) | (next & 0x3Fu);
    }
    bool const surrogate = point >= 0xD800 && point <= 0xDFFF;
    if (point < smallest[length] || point > 0x10FFFF || surrogate) return std::nullopt;
    text.push_back(point);
    i += length;
  }
  return text;
}

std::string encode_utf8(std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  auto const tail = [&bytes](char32_t point, int shift) {
    bytes.push_back(static_cast<char>(0x80 | ((point >> shift) & 0x3F)));
  };
  for (char32_t const point : text) {
    if (point < 0x80) {
      bytes.push_back(static_cast<char>(point));
    } else if (point < 0x800) {
      bytes.push_back(static_cast<char>(0xC0 | (point >> 6)));
      tail(point, 0);
    } else if (point < 0x10000) {
      bytes.push_back(static_cast<char>(0xE0 | (point >> 12)));
      tail(point, 6);
      tail(point, 0);
    } else {
      bytes.push_back(static_cast<char>(0xF0 | (point >> 18)));
      tail(point, 12);
      tail(point, 6);
      tail(point, 0);
    }
  }
  return bytes;
}

}  // namespace translation
