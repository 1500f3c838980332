// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace gshard {

/// A string literal as a template argument, as in `Axis<"data">` or `einsum<"ab,bc->ac">`.
template <std::size_t Size>
struct FixedString {
  char text[Size]{};

  consteval FixedString(char const (&literal)[Size]) {
    for (std::size_t i = 0; i < Size; ++i) text[i] = literal[i];
  }

  constexpr std::string_view view() const { return {text, Size - 1}; }
};

}  // namespace gshard
