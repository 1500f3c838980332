// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include <gshard/core/static_vector.hpp>

namespace gshard {

/// String literal as a template argument, as in `Axis<"data">` or `einsum<"ab,bc->ac">`.
/// One class for all lengths: for a class template over the length, nvcc cannot deduce the template argument, since its
/// type has to be deduced too.
struct FixedString {
  static constexpr std::size_t capacity = 64;
  char text[capacity]{};

  /// Copies a literal of at most 63 characters; a longer one does not compile.
  template <std::size_t Size>
  consteval FixedString(char const (&literal)[Size]) {
    static_assert(Size <= capacity, "gshard: a name or the subscripts of an einsum have at most 63 characters");
    for (std::size_t i = 0; i + 1 < Size; ++i) text[i] = literal[i];
  }

  /// Copies a text computed at compile time.
  /// Throws ExtentError if it has more than 63 characters; in a constant expression it does not compile.
  explicit constexpr FixedString(std::string_view characters) {
    if (characters.size() >= capacity) detail::list_is_full(static_cast<int>(capacity) - 1);
    for (std::size_t i = 0; i < characters.size(); ++i) text[i] = characters[i];
  }

  /// Returns the text up to its first null character.
  constexpr std::string_view view() const { return {text}; }

  friend constexpr bool operator==(FixedString const&, FixedString const&) = default;
};

}  // namespace gshard
