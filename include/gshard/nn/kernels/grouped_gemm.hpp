// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <gshard/core/compiled.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/einsum/local/contract_rounded.hpp>

// Products of ragged rows with a matrix for each expert: the rows of expert e, those from ends[e - 1] to ends[e], times
// its own. An expert without rows does nothing, and its gradient is zeros.

namespace gshard::nn::detail {

/// The extents of a grouped product: rows (R, K), matrices (E, K, N), results (R, N).
struct Grouped {
  std::vector<std::int64_t> const& ends;  ///< of each expert's rows
  std::int64_t inputs;                    ///< K
  std::int64_t outputs;                   ///< N

  std::int64_t rows() const { return ends.empty() ? 0 : ends.back(); }
};

/// Calls `run(expert, first, count)` for each expert.
template <class Run>
void for_each_expert(Grouped const& shape, Run const& run) {
  std::int64_t first = 0;
  for (std::size_t e = 0; e < shape.ends.size(); ++e) {
    run(static_cast<std::int64_t>(e), first, shape.ends[e] - first);
    first = shape.ends[e];
  }
}

template <class T>
gshard::detail::LocalTensor<T> matrix(T* data, char rows, char columns, std::int64_t row_count,
                                      std::int64_t column_count) {
  return {data, {rows, columns}, {row_count, column_count}};
}

/// results = rows * matrices.
template <class MemorySpace, class T>
void grouped_product(Grouped const& shape, T const* rows, T const* matrices, T* results,
                     Scratch<MemorySpace>& scratch) {
  std::int64_t const k = shape.inputs;
  std::int64_t const n = shape.outputs;
  for_each_expert(shape, [&](std::int64_t e, std::int64_t first, std::int64_t count) {
    gshard::detail::contract<MemorySpace>(matrix(rows + first * k, 'r', 'k', count, k),
                                          matrix(matrices + e * k * n, 'k', 'n', k, n),
                                          matrix(results + first * n, 'r', 'n', count, n), false, scratch);
  });
}
GSHARD_COMPILED_FLOATS(grouped_product)

/// The gradient with respect to the rows: gradient = upstream * matrices, transposed.
template <class MemorySpace, class T>
void grouped_product_rows_backward(Grouped const& shape, T const* upstream, T const* matrices, T* gradient,
                                   Scratch<MemorySpace>& scratch) {
  std::int64_t const k = shape.inputs;
  std::int64_t const n = shape.outputs;
  for_each_expert(shape, [&](std::int64_t e, std::int64_t first, std::int64_t count) {
    gshard::detail::contract<MemorySpace>(matrix(upstream + first * n, 'r', 'n', count, n),
                                          matrix(matrices + e * k * n, 'k', 'n', k, n),
                                          matrix(gradient + first * k, 'r', 'k', count, k), false, scratch);
  });
}
GSHARD_COMPILED_FLOATS(grouped_product_rows_backward)

/// The gradient with respect to the matrices: that of expert e is its rows, transposed, times its upstream.
template <class MemorySpace, class T>
void grouped_product_matrices_backward(Grouped const& shape, T const* rows, T const* upstream, T* gradient,
                                       Scratch<MemorySpace>& scratch) {
  std::int64_t const k = shape.inputs;
  std::int64_t const n = shape.outputs;
  for_each_expert(shape, [&](std::int64_t e, std::int64_t first, std::int64_t count) {
    gshard::detail::contract<MemorySpace>(matrix(rows + first * k, 'r', 'k', count, k),
                                          matrix(upstream + first * n, 'r', 'n', count, n),
                                          matrix(gradient + e * k * n, 'k', 'n', k, n), false, scratch);
  });
}
GSHARD_COMPILED_FLOATS(grouped_product_matrices_backward)

/// The sums of each expert's rows: sums (E, N).
template <class MemorySpace, class T>
void grouped_sums(Grouped const& shape, T const* rows, T* sums, Scratch<MemorySpace>& scratch) {
  std::int64_t const n = shape.outputs;
  for_each_expert(shape, [&](std::int64_t e, std::int64_t first, std::int64_t count) {
    gshard::detail::contract<MemorySpace>(matrix(rows + first * n, 'r', 'n', count, n),
                                          gshard::detail::LocalTensor<T>{sums + e * n, {'n'}, {n}}, false, scratch);
  });
}
GSHARD_COMPILED_FLOATS(grouped_sums)

}  // namespace gshard::nn::detail
