// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace gshard {

/// States what the gradient of one operand of an operation reads: elements of operands, by position, and of the result.
/// A tape keeps nothing else for the backward pass. `Reads::operand(1) | Reads::result()`.
/// Operands from position 63 on count as one: if a gradient reads one of them, all of them are kept.
struct Reads {
  std::uint64_t operands = 0;  ///< bit i: the elements of operand i; the last bit: those of all later ones
  bool from_result = false;

  /// Nothing but shapes.
  static constexpr Reads nothing() { return {}; }
  /// The elements of the operand at `position`. Precondition: position >= 0.
  static constexpr Reads operand(int position) { return {std::uint64_t{1} << bit_of(position), false}; }
  /// The elements of the result.
  static constexpr Reads result() { return {0, true}; }
  /// The elements of all operands and of the result.
  static constexpr Reads everything() { return {~std::uint64_t{0}, true}; }

  constexpr bool has_operand(int position) const { return (operands >> bit_of(position) & 1U) != 0; }

  static constexpr int bit_of(int position) { return position < 63 ? position : 63; }

  friend constexpr Reads operator|(Reads a, Reads b) {
    return {a.operands | b.operands, a.from_result || b.from_result};
  }
};

namespace detail {

/// What the gradient of operand `Operand` reads: as `Operation` states, or everything.
template <class Operation, int Operand>
constexpr Reads reads_of() {
  if constexpr (requires { Operation::template reads<Operand>; }) return Operation::template reads<Operand>;
  else return Reads::everything();
}

}  // namespace detail
}  // namespace gshard
