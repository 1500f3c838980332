// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/einsum/subscripts.hpp>
#include <gshard/tensor/spec.hpp>

namespace gshard::detail {

/// Extents of the letters of an einsum that the types of its tensors fix.
struct FixedExtents {
  StaticVector<char, max_letters> letters;
  StaticVector<std::int64_t, max_letters> extents;
  /// First letter for which two types fix different extents, `known` and `other`; '\0' if there is none.
  char contradicted = '\0';
  std::int64_t known = 0;
  std::int64_t other = 0;

  /// Returns the extent of `letter`; `dynamic_extent` if no type fixes it.
  constexpr std::int64_t of(char letter) const {
    int const i = letters.find(letter);
    return i < 0 ? dynamic_extent : extents[i];
  }

  /// Adds what the type of one tensor fixes.
  constexpr void add(Labels const& labels, Extents const& fixed) {
    for (int d = 0; d < labels.size() && d < fixed.size(); ++d) {
      if (fixed[d] == dynamic_extent) continue;
      std::int64_t const before = of(labels[d]);
      if (before == dynamic_extent) {
        letters.push_back(labels[d]);
        extents.push_back(fixed[d]);
      } else if (before != fixed[d] && contradicted == '\0') {
        contradicted = labels[d];
        known = before;
        other = fixed[d];
      }
    }
  }
};

/// Parses `Text` with the ranks of these tensors; without ranks if the numbers of operands differ.
template <FixedString Text, class... Tensors>
consteval Subscripts subscripts_of_tensors() {
  if constexpr (operand_count<Text> == static_cast<int>(sizeof...(Tensors)))
    return parse_subscripts(Text.view(), OperandRanks{Tensors::rank...}).subscripts;
  else return parse_subscripts(Text.view()).subscripts;
}

/// Subscripts of an einsum of these tensors. EinsumTypesMistake reports mistakes in them.
template <FixedString Text, class... Tensors>
inline constexpr Subscripts subscripts_for = subscripts_of_tensors<Text, Tensors...>();

/// Returns the extents that the types of the operands fix.
template <FixedString Text, class... Tensors>
consteval FixedExtents extents_fixed_by() {
  FixedExtents fixed;
  int operand = 0;
  (fixed.add(subscripts_for<Text, Tensors...>.operands[operand++], Tensors::static_extents), ...);
  return fixed;
}

/// Extents of the result that the types of the operands fix, in the form of a spec without axes, for `with_extents_of`.
template <FixedString Text, class... Tensors>
struct FixedResult {
  static constexpr Labels letters = subscripts_for<Text, Tensors...>.result;
  static constexpr FixedExtents fixed = extents_fixed_by<Text, Tensors...>();
  static constexpr int rank = letters.size();

  static constexpr AxisNames dimension(int dimension) { return {"", false, fixed.of(letters[dimension])}; }
  static constexpr Extents static_extents() {
    Extents extents;
    for (char const letter : letters) extents.push_back(fixed.of(letter));
    return extents;
  }
};

}  // namespace gshard::detail
