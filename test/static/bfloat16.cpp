// SPDX-License-Identifier: Apache-2.0
// Numbers of 2 bytes: rounding to nearest even, from any number at once.
#include <cstdint>
#include <limits>
#include <type_traits>

#include <gshard/core/bfloat16.hpp>

namespace {

using gshard::BFloat16;
using Float = std::numeric_limits<float>;

constexpr float through(auto value) { return BFloat16(value); }

static_assert(sizeof(BFloat16) == 2 && std::is_trivial_v<BFloat16> && std::is_standard_layout_v<BFloat16>);
static_assert(BFloat16{}.bits == 0);
static_assert(BFloat16(1.0f).bits == 0x3f80 && BFloat16(-2.0f).bits == 0xc000 && BFloat16::of_bits(0x3f80) == 1.0f);
static_assert(through(0x1p-133f) == 0x1p-133f && through(0x1p-134f) == 0, "the smallest number; half of it ties to 0");

// 8 bits of precision: from 256 on, every second integer.
static_assert(through(256) == 256 && through(257) == 256 && through(258) == 258 && through(259) == 260, "ties to even");
static_assert(through(257.001f) == 258 && through(256.999f) == 256);
static_assert(through(-257) == -256 && through(-259) == -260 && through(-257.001f) == -258);
static_assert(through(std::int64_t{1} << 62) == 0x1p62f && through(true) == 1);

// A double is not rounded to a float before: these are nearer to a tie than a float can tell.
static_assert(through(257.0000001) == 258 && through(256.9999999) == 256);
static_assert(through(-257.0000001) == -258 && through(-258.9999999) == -258);
static_assert(through(257.0) == 256 && through(259.0) == 260);

static_assert(through(Float::max()) == Float::infinity() && through(-Float::max()) == -Float::infinity(),
              "past the largest BFloat16");
static_assert(BFloat16(0x1.fep127f).bits == 0x7f7f, "the largest");
static_assert(through(Float::infinity()) == Float::infinity() && BFloat16(-0.0f).bits == 0x8000);
static_assert(through(Float::quiet_NaN()) != through(Float::quiet_NaN()), "NaN stays NaN");
static_assert(through(__builtin_bit_cast(float, 0x7f800001U)) != 0 &&
                  BFloat16(__builtin_bit_cast(float, 0x7f800001U)).bits == 0x7fc0,
              "also one whose bits are all in the lower half");

// Arithmetic is that of float; the way back is explicit.
static_assert(std::is_same_v<decltype(BFloat16(1) + BFloat16(2)), float> && BFloat16(1) + BFloat16(2) == 3.0f);
static_assert(!std::is_convertible_v<float, BFloat16> && std::is_convertible_v<BFloat16, float>);

}  // namespace
