// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <gshard/core/macros.hpp>

namespace gshard {

/// bfloat16 number of 2 bytes: the sign, the exponent and the first 7 bits of the fraction of a float.
/// A format for storage and communication: converts to float implicitly, so operators compute in float; converts back
/// only explicitly.
struct BFloat16 {
  std::uint16_t bits;

  /// Leaves the bits uninitialized.
  BFloat16() = default;

  /// Rounds `value` to the nearest BFloat16, ties to even. NaN stays NaN.
  template <class Number>
    requires std::is_arithmetic_v<Number>
  GSHARD_FUNCTION constexpr explicit BFloat16(Number value) : bits(rounded(to_float(value))) {}

  /// Returns the number with the given bits.
  GSHARD_FUNCTION static constexpr BFloat16 of_bits(std::uint16_t bits) {
    BFloat16 result{};
    result.bits = bits;
    return result;
  }

  /// Returns the same value as a float; exact.
  GSHARD_FUNCTION constexpr operator float() const {
    // The built-in, since std::bit_cast is not a device function.
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
  }

 private:
  GSHARD_FUNCTION static constexpr std::uint32_t bits_of(float value) {
    return __builtin_bit_cast(std::uint32_t, value);
  }

  GSHARD_FUNCTION static constexpr std::uint16_t rounded(float value) {
    std::uint32_t const whole = bits_of(value);
    // Sets the quiet bit: a NaN whose payload is in the low 16 bits alone would become an infinity.
    if (value != value) return static_cast<std::uint16_t>(whole >> 16 | 0x40U);
    return static_cast<std::uint16_t>((whole + 0x7fffU + (whole >> 16 & 1U)) >> 16);
  }

  /// Returns a float that rounds to the same BFloat16 as `value`.
  /// Avoids double rounding: if the nearest float is half-way between two BFloat16 and `value` is not, returns the next
  /// float on the side of `value`.
  template <class Number>
  GSHARD_FUNCTION static constexpr float to_float(Number value) {
    float const nearest = static_cast<float>(value);
    if constexpr (std::is_same_v<Number, float>) {
      return nearest;
    } else {
      double const exact = static_cast<double>(value);
      std::uint32_t const whole = bits_of(nearest);
      if ((whole & 0xffffU) != 0x8000U || nearest != nearest || static_cast<double>(nearest) == exact) return nearest;
      bool const away = (static_cast<double>(nearest) < exact) == (exact > 0);
      return __builtin_bit_cast(float, away ? whole + 1 : whole - 1);
    }
  }
};

namespace detail {

/// Type in which gshard computes with elements of type T: float for BFloat16, else T.
template <class T>
using Computed = std::conditional_t<std::is_same_v<T, BFloat16>, float, T>;

/// True if elements are stored in a narrower type than they are computed in.
template <class T>
inline constexpr bool is_rounded = !std::is_same_v<Computed<T>, T>;

}  // namespace detail
}  // namespace gshard
