// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

// Philox needs no vector instructions. Without this, Random123 includes their headers, which are longer than those of
// Kokkos. A program that uses the AES generators of Random123 includes Random123 before gshard.
#ifndef R123_USE_SSE
#define R123_USE_SSE 0
#endif
#include <Random123/philox.h>

#include <Kokkos_MathematicalFunctions.hpp>
#include <gshard/core/macros.hpp>

// Counter-based random number generator Philox4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A number is a pure function of (seed, stream, index). With the global index of an element as
// `index`, a tensor gets the same bits on every mesh, with every number of threads, and in any order. Different uses of
// one seed must have different streams.

namespace gshard {
namespace detail {

/// Returns 128 random bits: Philox4x32-10 with key = seed and counter = (index, stream), low words first.
GSHARD_FUNCTION inline r123::Philox4x32::ctr_type random_bits(std::uint64_t seed, std::uint64_t stream,
                                                              std::uint64_t index) {
  r123::Philox4x32::key_type const key = {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
  r123::Philox4x32::ctr_type const counter = {
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), static_cast<std::uint32_t>(stream),
       static_cast<std::uint32_t>(stream >> 32)}};
  return r123::Philox4x32{}(counter, key);
}

/// Returns the top 53 of 64 bits times 2^-53, a number in [0, 1).
GSHARD_FUNCTION inline double unit_interval(std::uint32_t high, std::uint32_t low) {
  std::uint64_t const bits = (static_cast<std::uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace detail

/// Returns a uniform random number in [0, 1).
/// A double is a multiple of 2^-53; a float is the double rounded down to a multiple of 2^-24.
template <std::floating_point T = double>
GSHARD_FUNCTION T random_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  auto const bits = detail::random_bits(seed, stream, index);
  if constexpr (sizeof(T) < sizeof(double)) return static_cast<T>(bits[0] >> 8) * static_cast<T>(0x1p-24);
  else return static_cast<T>(detail::unit_interval(bits[0], bits[1]));
}

/// Returns a random number of the standard normal distribution, by the Box-Muller transform of two uniform numbers.
/// Computes in double; a float is the rounded double. |result| <= 8.6, since 1 - u >= 2^-53.
template <std::floating_point T = double>
GSHARD_FUNCTION T random_normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  auto const bits = detail::random_bits(seed, stream, index);
  double const radius = Kokkos::sqrt(-2.0 * Kokkos::log(1.0 - detail::unit_interval(bits[0], bits[1])));
  double const angle = 6.283185307179586476925 * detail::unit_interval(bits[2], bits[3]);
  return static_cast<T>(radius * Kokkos::cos(angle));
}

}  // namespace gshard
