// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include <Kokkos_Core.hpp>

#include <gshard/core/launch.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/tensor/loop_nest.hpp>

namespace gshard::detail {

/// Device kernel: one element per iteration.
template <class T, class MemorySpace, bool Accumulate>
struct CopyElements {
  T* destination;
  T const* source;
  LoopNest<2> loops;

  KOKKOS_FUNCTION void operator()(std::int64_t iteration) const {
    std::int64_t offsets[2];
    loops.offsets_of(iteration, offsets);
    if constexpr (Accumulate) destination[offsets[0]] = static_cast<T>(destination[offsets[0]] + source[offsets[1]]);
    else destination[offsets[0]] = source[offsets[1]];
  }
};

/// Host kernel for rows along a loop that is innermost in destination and source.
/// `Contiguous`: both strides are 1; else they are arbitrary, also negative.
/// A work item is a group of short rows or a piece of a long one.
template <class T, bool Accumulate, bool Contiguous>
struct CopyRows {
  T* destination;
  T const* source;
  LoopNest<2> rows;
  std::int64_t row_count;
  std::int64_t length;
  std::int64_t pieces;
  std::int64_t piece_length;
  std::int64_t rows_per_item;
  std::int64_t to_stride;
  std::int64_t from_stride;

  static CopyRows make(T* destination, T const* source, LoopNest<2> const& rows, std::int64_t length,
                       std::int64_t to_stride, std::int64_t from_stride, std::int64_t concurrency) {
    constexpr std::int64_t granule = std::max<std::int64_t>(1, (64 << 10) / static_cast<std::int64_t>(sizeof(T)));
    std::int64_t const row_count = rows.count();
    // As long as about 4 pieces per thread allow: long copies can use stores that bypass the cache.
    std::int64_t const piece_length = std::max(granule, (row_count * length + 4 * concurrency - 1) / (4 * concurrency));
    std::int64_t const pieces = (length + piece_length - 1) / piece_length;
    return {destination, source,     rows,         row_count,
            length,      pieces,     piece_length, pieces > 1 ? 1 : std::max<std::int64_t>(1, granule / length),
            to_stride,   from_stride};
  }

  std::int64_t items() const { return (row_count + rows_per_item - 1) / rows_per_item * pieces; }

  void operator()(std::int64_t item) const {
    std::int64_t const first = item / pieces * rows_per_item;
    std::int64_t const last = std::min(row_count, first + rows_per_item);
    std::int64_t const begin = item % pieces * piece_length;
    std::int64_t const count = std::min(length - begin, piece_length);
    std::int64_t const to_step = rows.rank == 0 ? 0 : rows.strides[rows.rank - 1][0];
    std::int64_t const from_step = rows.rank == 0 ? 0 : rows.strides[rows.rank - 1][1];
    LoopCursor<2> cursor(rows, first);
    for (std::int64_t row = first; row < last;) {
      std::int64_t const run = std::min(last - row, cursor.run(rows));
      T* to = destination + cursor.offsets[0] + begin * to_stride;
      T const* from = source + cursor.offsets[1] + begin * from_stride;
      for (std::int64_t i = 0; i < run; ++i, to += to_step, from += from_step) copy_row(to, from, count);
      row += run;
      cursor.advance(rows, run);
    }
  }

 private:
  void copy_row(T* to, T const* from, std::int64_t count) const {
    if constexpr (Contiguous && !Accumulate) {
      std::copy_n(from, count, to);
    } else {
      std::int64_t const to_step = Contiguous ? 1 : to_stride;
      std::int64_t const from_step = Contiguous ? 1 : from_stride;
      // Reads in ascending addresses, also of reversed rows: the hardware prefetches such reads.
      if (from_step < 0)
        for (std::int64_t i = count - 1; i >= 0; --i) put(to[i * to_step], from[i * from_step]);
      else
        for (std::int64_t i = 0; i < count; ++i) put(to[i * to_step], from[i * from_step]);
    }
  }

  static void put(T& to, T const& from) {
    if constexpr (Accumulate) to = static_cast<T>(to + from);
    else to = from;
  }
};

/// Host kernel for all other copies. Tiles span the innermost dimensions of destination and source.
/// A whole contiguous tile passes through a buffer in the first-level cache, so that both sides are accessed in rows of
/// `width` elements, not one element per cache line.
/// A work item is a band of tiles, long in the source, so that each visited page of the source yields more elements.
template <class T, bool Accumulate>
struct CopyTiles {
  static constexpr std::int64_t width = 16;
  static constexpr std::int64_t band_width = 16 * width;
  static constexpr std::int64_t band_length = 4 * width;

  T* destination;
  T const* source;
  LoopNest<2> outer;
  std::int64_t across;  // extent of the dimension that is innermost in the destination
  std::int64_t across_strides[2];
  std::int64_t along;  // extent of the dimension that is innermost in the source
  std::int64_t along_strides[2];

  std::int64_t bands_across() const { return (across + band_length - 1) / band_length; }
  std::int64_t bands_along() const { return (along + band_width - 1) / band_width; }
  std::int64_t items() const { return outer.count() * bands_along() * bands_across(); }

  void operator()(std::int64_t item) const {
    std::int64_t const first_column = item % bands_across() * band_length;
    std::int64_t const last_column = std::min(across, first_column + band_length);
    item /= bands_across();
    std::int64_t const first_row = item % bands_along() * band_width;
    std::int64_t const last_row = std::min(along, first_row + band_width);
    std::int64_t offsets[2];
    outer.offsets_of(item / bands_along(), offsets);
    bool const contiguous = along_strides[1] == 1 && across_strides[0] == 1;
    for (std::int64_t column = first_column; column < last_column; column += width) {
      std::int64_t const columns = std::min(last_column - column, width);
      for (std::int64_t row = first_row; row < last_row; row += width) {
        std::int64_t const rows = std::min(last_row - row, width);
        T* const to = destination + offsets[0] + row * along_strides[0] + column * across_strides[0];
        T const* const from = source + offsets[1] + row * along_strides[1] + column * across_strides[1];
        if (contiguous && rows == width && columns == width) whole_tile(to, from);
        else partial_tile(to, from, rows, columns);
      }
    }
  }

 private:
  void whole_tile(T* to, T const* from) const {
    T buffer[width][width];
    for (int j = 0; j < width; ++j)
      for (int i = 0; i < width; ++i) buffer[j][i] = from[j * across_strides[1] + i];
    for (int i = 0; i < width; ++i)
      for (int j = 0; j < width; ++j) put(to[i * along_strides[0] + j], buffer[j][i]);
  }

  void partial_tile(T* to, T const* from, std::int64_t rows, std::int64_t columns) const {
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j)
        put(to[i * along_strides[0] + j * across_strides[0]], from[i * along_strides[1] + j * across_strides[1]]);
  }

  static void put(T& to, T const& from) {
    if constexpr (Accumulate) to = static_cast<T>(to + from);
    else to = from;
  }
};

/// Copies or adds as copy_strided and add_strided document; selects the kernel by memory space and strides.
template <class MemorySpace, bool Accumulate, class T>
void transfer_strided(T* destination, Extents const& destination_strides, T const* source,
                      Extents const& source_strides, Extents const& extents) {
  LoopNest<2> given;
  for (int i = 0; i < extents.size(); ++i) {
    if (extents[i] == 0) return;
    given.push_inner(extents[i], {destination_strides[i], source_strides[i]});
  }
  LoopNest<2> loops = coalesce(given);
  if constexpr (!runs_on_host<MemorySpace>) {
    CopyElements<T, MemorySpace, Accumulate> const kernel{destination, source, loops};
    launch<MemorySpace>("gshard::copy_elements", loops.count(), false, kernel);
  } else {
    std::int64_t const threads = concurrency<MemorySpace>();
    bool const tiny = loops.count() * static_cast<std::int64_t>(sizeof(T)) <= (64 << 10);
    if (loops.rank == 0) loops.push_inner(1, {1, 1});
    int const inner = loops.rank - 1;
    std::int64_t const across = loops.extents[inner];
    std::int64_t const across_to = loops.strides[inner][0];
    std::int64_t const across_from = loops.strides[inner][1];
    loops.erase(inner);
    bool follows_rows = across_from != 0;
    for (int i = 0; i < loops.rank; ++i)
      if (loops.strides[i][1] != 0 && std::abs(loops.strides[i][1]) < std::abs(across_from)) follows_rows = false;
    auto copy_rows = [&](auto const& kernel) {
      launch<MemorySpace>("gshard::copy_rows", kernel.items(), tiny, kernel);
    };
    if (across_to == 1 && across_from == 1)
      return copy_rows(
          CopyRows<T, Accumulate, true>::make(destination, source, loops, across, across_to, across_from, threads));
    if (follows_rows)
      return copy_rows(
          CopyRows<T, Accumulate, false>::make(destination, source, loops, across, across_to, across_from, threads));
    int along = -1;
    for (int i = 0; i < loops.rank; ++i)
      if (loops.strides[i][1] != 0 && (along < 0 || std::abs(loops.strides[i][1]) < std::abs(loops.strides[along][1])))
        along = i;
    std::int64_t along_extent = 1;
    std::int64_t along_to = 0;
    std::int64_t along_from = 0;
    if (along >= 0) {
      along_extent = loops.extents[along];
      along_to = loops.strides[along][0];
      along_from = loops.strides[along][1];
      loops.erase(along);
    }
    CopyTiles<T, Accumulate> const kernel{
        destination, source, loops, across, {across_to, across_from}, along_extent, {along_to, along_from}};
    launch<MemorySpace>("gshard::copy_tiles", kernel.items(), tiny, kernel);
  }
}

/// Copies destination[i . destination_strides] = source[i . source_strides] for every index i below `extents`.
/// Copies one element for rank 0.
/// Strides are in elements. A source stride of 0 broadcasts.
/// Preconditions: destination elements are distinct; source and destination do not overlap.
/// On a device the copy runs in the order of gshard's kernels and is not waited for.
template <class T, class MemorySpace>
void copy_strided(T* destination, Extents const& destination_strides, T const* source, Extents const& source_strides,
                  Extents const& extents) {
  transfer_strided<MemorySpace, false>(destination, destination_strides, source, source_strides, extents);
}

/// Adds the source to the destination; else as copy_strided.
template <class T, class MemorySpace>
void add_strided(T* destination, Extents const& destination_strides, T const* source, Extents const& source_strides,
                 Extents const& extents) {
  transfer_strided<MemorySpace, true>(destination, destination_strides, source, source_strides, extents);
}

/// Copies a box of extents `box` between two packed row-major blocks.
/// The box begins at `source_offsets` in the source and at `destination_offsets` in the destination.
template <class T, class MemorySpace>
void copy_block(T* destination, Extents const& destination_extents, Extents const& destination_offsets, T const* source,
                Extents const& source_extents, Extents const& source_offsets, Extents const& box) {
  Extents const destination_strides = packed_strides(destination_extents);
  Extents const source_strides = packed_strides(source_extents);
  std::int64_t to = 0;
  std::int64_t from = 0;
  for (int i = 0; i < box.size(); ++i) {
    to += destination_offsets[i] * destination_strides[i];
    from += source_offsets[i] * source_strides[i];
  }
  copy_strided<T, MemorySpace>(destination + to, destination_strides, source + from, source_strides, box);
}

}  // namespace gshard::detail
