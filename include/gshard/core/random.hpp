// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

// Philox does without vector instructions, whose headers are longer than those of Kokkos; a program that wants
// Random123's AES generators as well includes them before gshard.
#ifndef R123_USE_SSE
#define R123_USE_SSE 0
#endif
#include <Random123/philox.h>

#include <Kokkos_MathematicalFunctions.hpp>
#include <gshard/core/macros.hpp>

// Counter-based random numbers (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): Philox4x32 with
// ten rounds. A number is a pure function of (seed, stream, index). With the global index of the element as `index`, a
// tensor gets the same bits on every mesh, on every number of threads, and in any order; distinct uses under one seed
// take distinct streams.

namespace gshard {
namespace detail {

/// The 128 random bits of one (seed, stream, index): key = seed, counter = (index, stream), low words first.
GSHARD_FUNCTION inline r123::Philox4x32::ctr_type random_bits(std::uint64_t seed, std::uint64_t stream,
                                                              std::uint64_t index) {
  r123::Philox4x32::key_type const key = {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
  r123::Philox4x32::ctr_type const counter = {
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), static_cast<std::uint32_t>(stream),
       static_cast<std::uint32_t>(stream >> 32)}};
  return r123::Philox4x32{}(counter, key);
}

/// The top 53 of 64 bits as a number in [0, 1).
GSHARD_FUNCTION inline double unit_interval(std::uint32_t high, std::uint32_t low) {
  std::uint64_t const bits = (static_cast<std::uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace detail

/// A uniform number in [0, 1): a multiple of 2^-53 (double), or of 2^-24 (float, the double rounded down).
template <std::floating_point T = double>
GSHARD_FUNCTION T random_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  auto const bits = detail::random_bits(seed, stream, index);
  if constexpr (sizeof(T) < sizeof(double)) return static_cast<T>(bits[0] >> 8) * static_cast<T>(0x1p-24);
  else return static_cast<T>(detail::unit_interval(bits[0], bits[1]));
}

/// A number of the standard normal distribution (Box-Muller on two uniforms; at most 8.6 in size). The float is the
/// rounded double.
template <std::floating_point T = double>
GSHARD_FUNCTION T random_normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  auto const bits = detail::random_bits(seed, stream, index);
  double const radius = Kokkos::sqrt(-2.0 * Kokkos::log(1.0 - detail::unit_interval(bits[0], bits[1])));
  double const angle = 6.283185307179586476925 * detail::unit_interval(bits[2], bits[3]);
  return static_cast<T>(radius * Kokkos::cos(angle));
}

}  // namespace gshard
