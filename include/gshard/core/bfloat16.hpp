// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <gshard/core/macros.hpp>

namespace gshard {

/// A number in 2 bytes: sign, exponent and the first 7 bits of the fraction of a float. To be stored and sent; it is a
/// float wherever it meets an operator, and becomes a BFloat16 again only where the program says so, rounded to the
/// nearest, ties to even. NaN stays NaN.
struct BFloat16 {
  std::uint16_t bits;

  BFloat16() = default;

  template <class Number>
    requires std::is_arithmetic_v<Number>
  GSHARD_FUNCTION constexpr explicit BFloat16(Number value) : bits(rounded(to_float(value))) {}

  GSHARD_FUNCTION static constexpr BFloat16 of_bits(std::uint16_t bits) {
    BFloat16 result{};
    result.bits = bits;
    return result;
  }

  // The built-in and not std::bit_cast, which is no device function.
  GSHARD_FUNCTION constexpr operator float() const {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
  }

 private:
  GSHARD_FUNCTION static constexpr std::uint32_t bits_of(float value) {
    return __builtin_bit_cast(std::uint32_t, value);
  }

  GSHARD_FUNCTION static constexpr std::uint16_t rounded(float value) {
    std::uint32_t const whole = bits_of(value);
    if (value != value) return static_cast<std::uint16_t>(whole >> 16 | 0x40U);
    return static_cast<std::uint16_t>((whole + 0x7fffU + (whole >> 16 & 1U)) >> 16);
  }

  /// The float that rounds to the same BFloat16 as the number: the nearest one, but not one half-way between two
  /// BFloat16 where the number is not.
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

/// The type in which elements of type T are computed with.
template <class T>
using Computed = std::conditional_t<std::is_same_v<T, BFloat16>, float, T>;

/// Whether elements are stored in fewer bits than they are computed with.
template <class T>
inline constexpr bool is_rounded = !std::is_same_v<Computed<T>, T>;

}  // namespace detail
}  // namespace gshard
