// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

template <class T, class MemorySpace>
struct ZeroPaddingKernel {
  Rank2<T const, MemorySpace> input;
  Rank1<int const, MemorySpace> lengths;
  Rank2<T, MemorySpace> output;
  std::int64_t places;
  std::int64_t first_place;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(input, 1);
    T const* const in = input.data() + row * columns;
    T* const out = output.data() + row * columns;
    if (first_place + row % places < lengths(row / places))
      lanes.each(columns, [=](std::int64_t j) { out[j] = in[j]; });
    else lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
  }
};

/// Copies the rows of words, and sets those of padding to 0 without reading them: input, output (rows, M), which may be
/// one; rows are (sentence, place); this block holds `places` places of each sentence, from `first_place` on; lengths
/// (sentences): how many leading places are words.
template <class T, class MemorySpace>
void zero_padding(Rank2<T const, MemorySpace> input, Rank1<int const, MemorySpace> lengths,
                  Rank2<T, MemorySpace> output, std::int64_t places, std::int64_t first_place = 0) {
  for_each_row<MemorySpace>("gshard::zero_padding", extent(input, 0),
                            ZeroPaddingKernel<T, MemorySpace>{input, lengths, output, places, first_place});
}

}  // namespace gshard::nn::detail
