// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/tensor/loop_nest.hpp>

namespace gshard {

/// Many matrix products of one shape, C = A B or C += A B: A is (m, k), B is (k, n), C is (m, n). All extents are at
/// least 1. In A and in B the rows or the columns are contiguous (or the matrix is a single column or row, of any
/// stride); in C the columns are, or n is 1. C's of different batch indices do not overlap. With accumulate == false C
/// is not read: it may hold anything, NaN included.
template <class T>
struct GemmBatch {
  std::int64_t m = 1;
  std::int64_t n = 1;
  std::int64_t k = 1;
  T const* a = nullptr;
  std::int64_t a_row = 0;     ///< elements from one row of A to the next
  std::int64_t a_column = 0;  ///< elements from one column of A to the next
  T const* b = nullptr;
  std::int64_t b_row = 0;
  std::int64_t b_column = 0;
  T* c = nullptr;
  std::int64_t c_row = 0;
  bool accumulate = false;
  detail::LoopNest<3> batch;  ///< the batch's loops, with their strides in A, B and C; no loop: one product

  /// The number of matrix products.
  std::int64_t count() const { return batch.count(); }

  /// One product of the batch.
  GemmBatch product(std::int64_t index) const {
    std::int64_t offsets[3];
    batch.offsets_of(index, offsets);
    return block(a + offsets[0], b + offsets[1], c + offsets[2], m, n, k, accumulate);
  }

  /// A product of blocks of the same matrices.
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

/// A matrix as BLAS sees it: row-major storage, read as it is or transposed. The leading dimension of a single stored
/// row is made up.
struct StoredMatrix {
  bool transposed;
  std::int64_t leading;
};

constexpr StoredMatrix stored_matrix(std::int64_t rows, std::int64_t columns, std::int64_t row_stride,
                                     std::int64_t column_stride) {
  if (columns == 1) return {false, rows == 1 ? 1 : row_stride};
  if (rows == 1) return {true, column_stride};
  return column_stride == 1 ? StoredMatrix{false, row_stride} : StoredMatrix{true, column_stride};
}

}  // namespace detail
}  // namespace gshard
