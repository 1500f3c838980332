// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/checked.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/einsum/local/local_tensor.hpp>

namespace gshard::detail {

/// Indices of the three tensors of c += a * b.
enum : int { operand_a = 0, operand_b = 1, operand_c = 2 };

/// Role of a letter in c += a * b.
enum class UnitKind {
  batch,       ///< in c, and in both operands or in neither
  row,         ///< in a and c: "m" of GEMM
  column,      ///< in b and c: "n" of GEMM
  contracted,  ///< not in c: "k" of GEMM
};

/// Loop of a contraction: one letter, or several that every tensor walks as one loop. Its stride is 0 in a tensor that
/// lacks it.
struct Unit {
  Labels letters;
  std::int64_t extent = 1;
  std::int64_t strides[3]{};

  /// Returns whether a tensor has the letters of the unit.
  constexpr bool in(int operand) const { return strides[operand] != 0; }

  constexpr UnitKind kind() const {
    if (!in(operand_c)) return UnitKind::contracted;
    if (in(operand_a) == in(operand_b)) return UnitKind::batch;
    return in(operand_a) ? UnitKind::row : UnitKind::column;
  }

  friend constexpr bool operator==(Unit const&, Unit const&) = default;
};

/// Maximum number of units: max_rank letters of c, max_rank contracted ones, and one for a sum that is cut into parts.
inline constexpr int max_units = 2 * max_rank + 1;

/// All loops of a contraction.
using Units = StaticVector<Unit, max_units>;

/// Returns the number of multiplications; the largest 64-bit integer if it overflows.
constexpr std::int64_t iterations(Units const& units) {
  std::int64_t result = 1;
  for (Unit const& unit : units) result = saturated_product(result, unit.extent);
  return result;
}

/// Returns the units of c += a * b, one per letter whose extent is not 1. Precondition: no extent is 0.
constexpr Units units_of(LabelledStrides const& a, LabelledStrides const& b, LabelledStrides const& c) {
  Units units;
  LabelledStrides const* const tensors[3] = {&c, &a, &b};
  for (int t = 0; t < 3; ++t) {
    for (int i = 0; i < tensors[t]->labels.size(); ++i) {
      if (tensors[t]->extents[i] == 1) continue;
      char const letter = tensors[t]->labels[i];
      if ((t > 0 && tensors[0]->labels.contains(letter)) || (t > 1 && tensors[1]->labels.contains(letter))) continue;
      units.push_back(
          {{letter}, tensors[t]->extents[i], {a.stride_of(letter), b.stride_of(letter), c.stride_of(letter)}});
    }
  }
  return units;
}

/// Merges two units if the second is inside the first in every tensor: `stride(outer) = stride(inner) * extent(inner)`.
/// Repeats this as often as possible, and drops units that no tensor has.
constexpr Units fuse(Units const& given) {
  Units units;
  for (Unit const& unit : given)
    if (unit.in(operand_a) || unit.in(operand_b) || unit.in(operand_c)) units.push_back(unit);
  bool merged = true;
  while (merged) {
    merged = false;
    for (int outer = 0; outer < units.size() && !merged; ++outer) {
      for (int inner = 0; inner < units.size() && !merged; ++inner) {
        if (outer == inner) continue;
        bool as_one = true;
        for (int t = 0; t < 3; ++t)
          as_one = as_one && units[outer].strides[t] == units[inner].strides[t] * units[inner].extent;
        if (!as_one) continue;
        for (char letter : units[inner].letters) units[outer].letters.push_back(letter);
        units[outer].extent *= units[inner].extent;
        for (int t = 0; t < 3; ++t) units[outer].strides[t] = units[inner].strides[t];
        for (int i = inner; i + 1 < units.size(); ++i) units[i] = units[i + 1];
        units.pop_back();
        merged = true;
      }
    }
  }
  return units;
}

}  // namespace gshard::detail
