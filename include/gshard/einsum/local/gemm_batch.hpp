// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/tensor/loop_nest.hpp>

namespace gshard {

/// Batch of matrix products of one shape, C = A B or C += A B. Shapes: A (m, k), B (k, n), C (m, n).
/// Strides are in elements.
/// Preconditions: extents are at least 1. A and B have contiguous rows or contiguous columns, or are a single row or
/// column of any stride; C has contiguous rows, or n is 1. C of different batch indices do not overlap.
/// If `accumulate` is false, C is not read: it may hold anything, NaN included.
template <class T>
struct GemmBatch {
  std::int64_t m = 1;
  std::int64_t n = 1;
  std::int64_t k = 1;
  T const* a = nullptr;
  std::int64_t a_row = 0;     ///< stride between rows of A
  std::int64_t a_column = 0;  ///< stride between columns of A
  T const* b = nullptr;
  std::int64_t b_row = 0;
  std::int64_t b_column = 0;
  T* c = nullptr;
  std::int64_t c_row = 0;
  bool accumulate = false;
  detail::LoopNest<3> batch;  ///< batch loops with strides in A, B, C; no loop: one product

  /// Returns the number of matrix products.
  std::int64_t count() const { return batch.count(); }

  /// Returns product number `index` of the batch, in row-major order of the batch loops.
  GemmBatch product(std::int64_t index) const {
    std::int64_t offsets[3];
    batch.offsets_of(index, offsets);
    return block(a + offsets[0], b + offsets[1], c + offsets[2], m, n, k, accumulate);
  }

  /// Returns one product of blocks of the same matrices: A (rows, depth), B (depth, columns), C (rows, columns), which
  /// begin at the given elements.
  GemmBatch block(T const* a_block, T const* b_block, T* c_block, std::int64_t rows, std::int64_t columns,
                  std::int64_t depth, bool add) const {
    GemmBatch result;
    result.m = rows;
    result.n = columns;
    result.k = depth;
    result.a = a_block;
    result.a_row = a_row;
    result.a_column = a_column;
    result.b = b_block;
    result.b_row = b_row;
    result.b_column = b_column;
    result.c = c_block;
    result.c_row = c_row;
    result.accumulate = add;
    return result;
  }
};

namespace detail {

/// Matrix as BLAS takes it: row-major storage, read as it is or transposed. If only one row is stored, `leading` is a
/// placeholder that BLAS accepts.
struct StoredMatrix {
  bool transposed;
  std::int64_t leading;
};

/// Returns how BLAS takes a (rows, columns) matrix with these strides. Precondition: one stride is 1, or rows or
/// columns is 1.
constexpr StoredMatrix stored_matrix(std::int64_t rows, std::int64_t columns, std::int64_t row_stride,
                                     std::int64_t column_stride) {
  if (columns == 1) return {false, rows == 1 ? 1 : row_stride};
  if (rows == 1) return {true, column_stride};
  return column_stride == 1 ? StoredMatrix{false, row_stride} : StoredMatrix{true, column_stride};
}

}  // namespace detail
}  // namespace gshard
