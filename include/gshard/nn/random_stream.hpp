// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <gshard/core/random.hpp>

namespace gshard::nn {

/// The random numbers of one use in training: a seed, and a number of its own for each step. A value: whoever uses it
/// again draws the same numbers. Dropout, routing and initial weights draw from numbers of their own of one stream, and
/// a Transformer from numbers of their own for each of its layers, so RandomStream{seed, step} shares none. Uses that
/// belong to one step otherwise, as two calls of dropout, take fold_in(stream, 0), fold_in(stream, 1), ...
struct RandomStream {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

/// Returns stream number `data` below `parent` (jax.random.fold_in): 128 random bits, different for different `data` or
/// `parent.stream` of one seed, since Philox maps its counters one to one.
inline RandomStream fold_in(RandomStream parent, std::uint64_t data) {
  // Of another key than the numbers that `parent` itself draws.
  constexpr std::uint64_t folding = 0x9e3779b97f4a7c15;
  auto const bits = gshard::detail::random_bits(parent.seed ^ folding, parent.stream, data);
  auto const number = [&](std::size_t low) { return static_cast<std::uint64_t>(bits[low + 1]) << 32 | bits[low]; };
  return {number(0), number(2)};
}

namespace detail {

/// What random numbers are drawn for: different purposes share none, whatever seeds and streams are given.
enum class RandomPurpose : std::uint64_t { weights = 1, dropout, routing };

inline RandomStream fold_in(RandomStream parent, RandomPurpose purpose) {
  // Beyond the numbers that programs count with.
  return nn::fold_in(parent, ~static_cast<std::uint64_t>(purpose));
}

/// A stream for each use in one pass, in the order of the uses. A value, as a stream is.
struct RandomUses {
  RandomStream stream{};
  std::uint64_t uses = 0;

  RandomStream next() { return nn::fold_in(stream, uses++); }
};

inline std::optional<RandomUses> uses_of(std::optional<RandomStream> random) {
  if (!random) return {};
  return RandomUses{*random};
}

}  // namespace detail

}  // namespace gshard::nn
