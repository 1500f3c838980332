// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/einsum/subscripts.hpp>
#include <gshard/tensor/spec.hpp>

namespace gshard::detail {

/// What the types of an einsum's tensors fix of the extents of its letters.
struct FixedExtents {
  StaticVector<char, max_letters> letters;
  StaticVector<std::int64_t, max_letters> extents;
  /// The first letter for which two types fix different extents, these two; '\0' where there is none.
  char contradicted = '\0';
  std::int64_t known = 0;
  std::int64_t other = 0;

  constexpr std::int64_t of(char letter) const {
    int const i = letters.find(letter);
    return i < 0 ? dynamic_extent : extents[i];
  }

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

template <FixedString Text, class... Tensors>
consteval Subscripts subscripts_of_tensors() {
  if constexpr (operand_count<Text> == static_cast<int>(sizeof...(Tensors)))
    return parse_subscripts(Text.view(), OperandRanks{Tensors::rank...}).subscripts;
  else return parse_subscripts(Text.view()).subscripts;
}

/// The subscripts of an einsum of these tensors; mistakes in them are for EinsumTypesMistake to name.
template <FixedString Text, class... Tensors>
inline constexpr Subscripts subscripts_for = subscripts_of_tensors<Text, Tensors...>();

template <FixedString Text, class... Tensors>
consteval FixedExtents extents_fixed_by() {
  FixedExtents fixed;
  int operand = 0;
  (fixed.add(subscripts_for<Text, Tensors...>.operands[operand++], Tensors::static_extents), ...);
  return fixed;
}

/// What the types of the operands fix of an einsum's result: a spec with extents alone, for `with_extents_of`.
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
