// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/core/random.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard::nn::detail {

/// Four elements that lie in a row in the whole tensor take the four words of one draw. A run is what of a block lies
/// in a row there.
template <class T>
struct DropoutKernel {
  T const* input;
  T* output;
  Extents offsets;      ///< of the block, in the dimensions before those of a run
  Extents extents;      ///< of the block, there
  Extents strides;      ///< in the whole tensor, there
  std::int64_t start;   ///< of the first run, were the other offsets 0
  std::int64_t length;  ///< of a run
  std::int64_t draws;   ///< that cover any run
  std::uint64_t seed;
  std::uint64_t stream;
  std::uint64_t threshold;  ///< words below it are dropped
  gshard::detail::Computed<T> scale;

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const run = item / draws;
    std::int64_t first = start;
    std::int64_t rest = run;
    for (int d = extents.size() - 1; d >= 0; --d) {
      first += (offsets[d] + rest % extents[d]) * strides[d];
      rest /= extents[d];
    }
    std::int64_t const draw = first / 4 + item % draws;
    auto const words = gshard::detail::random_bits(seed, stream, static_cast<std::uint64_t>(draw));
    for (int word = 0; word < 4; ++word) {
      std::int64_t const column = 4 * draw + word - first;
      if (column < 0 || column >= length) continue;
      std::int64_t const place = run * length + column;
      bool const kept = words[static_cast<std::size_t>(word)] >= threshold;
      output[place] = kept ? static_cast<T>(input[place] * scale) : T(0);
    }
  }
};

/// A block of a tensor of these global extents with elements dropped: word g % 4 of draw g / 4 decides on the element
/// at the global row-major position g. input and output are packed and may be one.
template <class MemorySpace, class T>
void dropout(T const* input, T* output, gshard::detail::Block const& block, Extents const& global, double rate,
             std::uint64_t seed, std::uint64_t stream) {
  if (product(block.extents) == 0) return;
  Extents const strides = packed_strides(global);
  int split = std::max(global.size() - 1, 0);
  while (split > 0 && block.extents[split] == global[split]) --split;
  DropoutKernel<T> kernel{input,
                          output,
                          {},
                          {},
                          {},
                          0,
                          1,
                          0,
                          seed,
                          stream,
                          static_cast<std::uint64_t>(rate * 0x1p32),
                          static_cast<gshard::detail::Computed<T>>(1 / (1 - rate))};
  std::int64_t runs = 1;
  for (int d = 0; d < global.size(); ++d) {
    if (d < split) {
      kernel.offsets.push_back(block.offsets[d]);
      kernel.extents.push_back(block.extents[d]);
      kernel.strides.push_back(strides[d]);
      runs *= block.extents[d];
    } else {
      kernel.start += block.offsets[d] * strides[d];
      kernel.length *= block.extents[d];
    }
  }
  kernel.draws = (kernel.length + 3) / 4 + 1;
  gshard::detail::launch<MemorySpace>("gshard::dropout", runs * kernel.draws, kernel);
}
GSHARD_COMPILED_FLOATS(dropout)

}  // namespace gshard::nn::detail
