// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace translation {

/// Returns whether Unicode calls `c` white space.
constexpr bool is_blank(char32_t c) {
  return (c >= U'\t' && c <= U'\r') || c == U' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Returns whether `c` has no shape and no width: soft hyphens, byte-order marks, marks of direction.
constexpr bool is_invisible(char32_t c) {
  return c == 0xAD || c == 0x200B || c == 0xFEFF || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

/// Returns whether `c` is a control character (Unicode category Cc), NUL among them.
constexpr bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

/// Returns `text` without the blanks and invisible characters at its ends.
constexpr std::u32string_view trimmed(std::u32string_view text) {
  auto const goes = [](char32_t c) { return is_blank(c) || is_invisible(c); };
  while (!text.empty() && goes(text.front())) text.remove_prefix(1);
  while (!text.empty() && goes(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace translation
