// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/launch.hpp>
#include <gshard/reduce/kernels/loops.hpp>
#include <gshard/tensor/shard_range.hpp>

namespace gshard {

/// Whether the sum at an element counts the element itself.
enum class Scan { inclusive, exclusive };

namespace detail {

/// Rows that a host thread keeps sums of at once.
inline constexpr int scan_tile = 1024;

/// Cumulative sums along a block (outer, length, inner), whose length is cut into chunks; `starts`, (chunks, outer,
/// inner), is what stands before each.
template <class T, class Accumulator, class Kernel>
struct ScanKernel {
  static constexpr int tile = scan_tile;

  Kernel kernel;
  T* result;
  Accumulator const* starts;  ///< null: zeros
  AlongShape shape;
  std::int64_t chunks;
  bool exclusive;
  bool reversed;  ///< from the last element to the first

  std::int64_t tiles() const { return (shape.inner + tile - 1) / tile; }
  std::int64_t items() const { return chunks * shape.outer * tiles(); }

  /// Host: a tile of neighbouring rows.
  void operator()(std::int64_t item) const {
    std::int64_t const begin = item % tiles() * tile;
    std::int64_t const chunk_row = item / tiles();
    if (shape.inner == 1) return one_row(chunk_row, 0);
    int const count = static_cast<int>(std::min<std::int64_t>(tile, shape.inner - begin));
    Accumulator sums[tile];
    for (int i = 0; i < count; ++i)
      sums[i] = starts == nullptr ? Accumulator(0) : starts[chunk_row * shape.inner + begin + i];
    Range const range = shard_range(shape.length, chunks, chunk_row / shape.outer);
    std::int64_t const first = chunk_row % shape.outer * shape.length;
    Kernel const from = kernel;
    T* const to = result;
    for (std::int64_t k = 0; k < range.size(); ++k) {
      std::int64_t const position = (first + (reversed ? range.end - 1 - k : range.begin + k)) * shape.inner + begin;
      if (exclusive)
        for (int i = 0; i < count; ++i) {
          Accumulator const value = static_cast<Accumulator>(from(position + i));
          to[position + i] = static_cast<T>(sums[i]);
          sums[i] += value;
        }
      else
        for (int i = 0; i < count; ++i) {
          sums[i] += static_cast<Accumulator>(from(position + i));
          to[position + i] = static_cast<T>(sums[i]);
        }
    }
  }

  /// The chunk of one row, along which memory is walked over in steps of `inner`.
  KOKKOS_FUNCTION void one_row(std::int64_t chunk_row, std::int64_t i) const {
    Accumulator sum = starts == nullptr ? Accumulator(0) : starts[chunk_row * shape.inner + i];
    Range const range = shard_range(shape.length, chunks, chunk_row / shape.outer);
    std::int64_t const first = chunk_row % shape.outer * shape.length;
    for (std::int64_t k = 0; k < range.size(); ++k) {
      std::int64_t const position = (first + (reversed ? range.end - 1 - k : range.begin + k)) * shape.inner + i;
      Accumulator const next = sum + static_cast<Accumulator>(kernel(position));
      result[position] = static_cast<T>(exclusive ? sum : next);
      sum = next;
    }
  }
};

/// Device: the chunk of a row for each thread, neighbours by neighbouring threads.
template <class Kernel>
struct ScanRows {
  Kernel kernel;
  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    kernel.one_row(item / kernel.shape.inner, item % kernel.shape.inner);
  }
};

template <class MemorySpace, class T, class Accumulator, class Kernel>
void run_scan(ScanKernel<T, Accumulator, Kernel> const& kernel) {
  std::int64_t const rows = kernel.shape.rows();
  if constexpr (runs_on_host<MemorySpace>)
    launch<MemorySpace>("gshard::scan", kernel.items(), rows * kernel.shape.length <= small_row, kernel);
  else launch<MemorySpace>("gshard::scan", kernel.chunks * rows, ScanRows<ScanKernel<T, Accumulator, Kernel>>{kernel});
}

/// How many chunks keep all threads busy where there are few rows; by the extents alone.
template <class MemorySpace>
std::int64_t chunks_of_scan(AlongShape const& shape) {
  if constexpr (runs_on_host<MemorySpace>) {
    std::int64_t const items = shape.outer * ((shape.inner + scan_tile - 1) / scan_tile);
    return std::clamp<std::int64_t>(std::min(32 / items, shape.rows() * shape.length >> 15), 1,
                                    std::max<std::int64_t>(1, shape.length));
  } else {
    return std::clamp<std::int64_t>(std::min((std::int64_t{1} << 14) / shape.rows(), shape.length >> 6), 1,
                                    std::max<std::int64_t>(1, shape.length));
  }
}

}  // namespace detail
}  // namespace gshard
