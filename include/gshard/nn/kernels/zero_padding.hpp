// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// The rows that are tokens: those where the mask is not 0.
struct TokensOfMask {
  int const* mask;

  KOKKOS_FUNCTION bool contains(std::int64_t row) const { return mask[row] != 0; }
};

/// The rows (sentence, place) that are tokens: the first `lengths[sentence]` places of each sentence. A block holds
/// `places` places of each sentence, from `first_place` on.
struct TokensOfLengths {
  int const* lengths;
  std::int64_t places;
  std::int64_t first_place;

  KOKKOS_FUNCTION bool contains(std::int64_t row) const { return first_place + row % places < lengths[row / places]; }
};

/// Copies the rows of tokens, and sets those of padding to 0 without reading them. `output` may be `input`.
template <class T, class Tokens>
struct ZeroPaddingKernel {
  T const* input;
  T* output;
  std::int64_t columns;
  Tokens tokens;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    T const* const in = input + row * columns;
    T* const out = output + row * columns;
    if (tokens.contains(row)) lanes.each(columns, [=](std::int64_t j) { out[j] = in[j]; });
    else lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
  }
};

}  // namespace gshard::nn::detail
