// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

template <class T, class MemorySpace>
struct EmbeddingKernel {
  Rank2<T const, MemorySpace> table;
  Rank1<int const, MemorySpace> ids;
  Rank2<T, MemorySpace> output;
  std::int64_t first;
  gshard::detail::Computed<T> scale;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(output, 1);
    std::int64_t const place = ids(row) - first;
    T* const out = output.data() + row * columns;
    if (place >= 0 && place < extent(table, 0)) {
      T const* const in = table.data() + place * columns;
      gshard::detail::Computed<T> const factor = scale;
      lanes.each(columns, [=](std::int64_t j) { out[j] = static_cast<T>(factor * in[j]); });
    } else {
      lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
    }
  }
};

/// On hosts: one block of columns of the table's gradient, token after token.
template <class T, class MemorySpace>
struct EmbeddingBackwardByColumns {
  Rank1<int const, MemorySpace> ids;
  Rank2<T const, MemorySpace> upstream;
  Rank2<gshard::detail::Computed<T>, MemorySpace> gradient;
  std::int64_t first;
  gshard::detail::Computed<T> scale;
  std::int64_t width;

  KOKKOS_FUNCTION void operator()(std::int64_t block) const {
    using Number = gshard::detail::Computed<T>;
    std::int64_t const columns = extent(gradient, 1);
    std::int64_t const begin = block * width;
    std::int64_t const count = columns - begin < width ? columns - begin : width;
    Number const factor = scale;
    for (std::int64_t token = 0; token < extent(ids, 0); ++token) {
      std::int64_t const place = ids(token) - first;
      if (place < 0 || place >= extent(gradient, 0)) continue;
      T const* const in = upstream.data() + token * columns + begin;
      Number* const out = gradient.data() + place * columns + begin;
      ThreadLanes::each(count, [=](std::int64_t j) { out[j] += factor * in[j]; });
    }
  }
};

/// On accelerators: one row of the table's gradient; its lanes look through the tokens in order, each for its own
/// columns.
template <class T, class MemorySpace>
struct EmbeddingBackwardByRow {
  Rank1<int const, MemorySpace> ids;
  Rank2<T const, MemorySpace> upstream;
  Rank2<gshard::detail::Computed<T>, MemorySpace> gradient;
  std::int64_t first;
  gshard::detail::Computed<T> scale;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(gradient, 1);
    using Number = gshard::detail::Computed<T>;
    Number* const out = gradient.data() + row * columns;
    Number const factor = scale;
    for (std::int64_t token = 0; token < extent(ids, 0); ++token) {
      if (ids(token) - first != row) continue;
      T const* const in = upstream.data() + token * columns;
      lanes.each(columns, [=](std::int64_t j) { out[j] += factor * in[j]; });
    }
  }
};

/// Rows of a table by number: output(r, :) = scale * table(ids(r) - first, :). table (V, M) holds the entries [first,
/// first + V) of a vocabulary; ids (rows); output (rows, M). An id outside of that range, such as a negative one for
/// padding, reads nothing and gives zeros: over the blocks of a table that is split by rows, the outputs add up to the
/// whole one's.
template <class MemorySpace, class T>
void embedding(Rank2<T const, MemorySpace> table, Rank1<int const, MemorySpace> ids, Rank2<T, MemorySpace> output,
               gshard::detail::Computed<T> scale = 1, std::int64_t first = 0) {
  for_each_row<MemorySpace>("gshard::embedding", extent(ids, 0),
                            EmbeddingKernel<T, MemorySpace>{table, ids, output, first, scale});
}
GSHARD_COMPILED_FLOATS(embedding)

/// Adds the gradient of embedding to `gradient` (V, M), which the caller has filled (with zeros, or with a gradient to
/// add to). Each entry's terms are added in the order of the tokens, without atomics: the same bits on any number of
/// threads.
template <class MemorySpace, class T>
void embedding_backward(Rank1<int const, MemorySpace> ids, Rank2<T const, MemorySpace> upstream,
                        Rank2<gshard::detail::Computed<T>, MemorySpace> gradient, gshard::detail::Computed<T> scale = 1,
                        std::int64_t first = 0) {
  std::int64_t const columns = extent(gradient, 1);
  if (columns == 0 || extent(ids, 0) == 0) return;
  if constexpr (runs_on_host<MemorySpace>) {
    std::int64_t const threads = gshard::detail::concurrency<MemorySpace>();
    std::int64_t const width = ((columns + threads - 1) / threads + 15) / 16 * 16;
    launch<MemorySpace>("gshard::embedding_backward", (columns + width - 1) / width,
                        EmbeddingBackwardByColumns<T, MemorySpace>{ids, upstream, gradient, first, scale, width});
  } else {
    for_each_row<MemorySpace>("gshard::embedding_backward", extent(gradient, 0),
                              EmbeddingBackwardByRow<T, MemorySpace>{ids, upstream, gradient, first, scale});
  }
}
GSHARD_COMPILED_FLOATS(embedding_backward)

}  // namespace gshard::nn::detail
