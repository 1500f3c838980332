// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include <gshard/core/static_vector.hpp>

namespace gshard {

/// A string literal as a template argument, as in `Axis<"data">` or `einsum<"ab,bc->ac">`.
/// One class for all lengths: nvcc cannot deduce a template argument whose type is itself deduced, as that of a
/// template over the length would be.
struct FixedString {
  static constexpr std::size_t capacity = 64;
  char text[capacity]{};

  template <std::size_t Size>
  consteval FixedString(char const (&literal)[Size]) {
    static_assert(Size <= capacity, "gshard: a name or the subscripts of an einsum have at most 63 characters");
    for (std::size_t i = 0; i + 1 < Size; ++i) text[i] = literal[i];
  }

  /// A text put together at compile time, shorter than `capacity`.
  explicit constexpr FixedString(std::string_view characters) {
    if (characters.size() >= capacity) detail::list_is_full(static_cast<int>(capacity) - 1);
    for (std::size_t i = 0; i < characters.size(); ++i) text[i] = characters[i];
  }

  constexpr std::string_view view() const { return {text}; }

  friend constexpr bool operator==(FixedString const&, FixedString const&) = default;
};

}  // namespace gshard
