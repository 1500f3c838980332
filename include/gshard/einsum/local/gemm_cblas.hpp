// SPDX-License-Identifier: Apache-2.0
#pragma once

// Empty in a build without CBLAS.
#if defined(GSHARD_HAVE_CBLAS)

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <cblas.h>

#include <Kokkos_Core.hpp>

#include <gshard/core/execution.hpp>
#include <gshard/einsum/local/gemm_batch.hpp>
#include <gshard/tensor/loop_nest.hpp>

namespace gshard::detail {

/// Calls row-major gemm with alpha = 1: C = A B + beta C.
inline void cblas_gemm(CBLAS_TRANSPOSE a_form, CBLAS_TRANSPOSE b_form, int m, int n, int k, float const* a,
                       int a_leading, float const* b, int b_leading, float beta, float* c, int c_leading) {
  cblas_sgemm(CblasRowMajor, a_form, b_form, m, n, k, 1.0f, a, a_leading, b, b_leading, beta, c, c_leading);
}
inline void cblas_gemm(CBLAS_TRANSPOSE a_form, CBLAS_TRANSPOSE b_form, int m, int n, int k, double const* a,
                       int a_leading, double const* b, int b_leading, double beta, double* c, int c_leading) {
  cblas_dgemm(CblasRowMajor, a_form, b_form, m, n, k, 1.0, a, a_leading, b, b_leading, beta, c, c_leading);
}
/// Calls row-major gemv with alpha = beta = 1: y += A x.
inline void cblas_gemv(CBLAS_TRANSPOSE form, int rows, int columns, float const* a, int leading, float const* x,
                       int x_step, float* y, int y_step) {
  cblas_sgemv(CblasRowMajor, form, rows, columns, 1.0f, a, leading, x, x_step, 1.0f, y, y_step);
}
inline void cblas_gemv(CBLAS_TRANSPOSE form, int rows, int columns, double const* a, int leading, double const* x,
                       int x_step, double* y, int y_step) {
  cblas_dgemv(CblasRowMajor, form, rows, columns, 1.0, a, leading, x, x_step, 1.0, y, y_step);
}

/// Computes matrix products by a CBLAS with 32-bit integers.
template <class T>
struct CblasGemm {
  static constexpr bool available = std::is_same_v<T, float> || std::is_same_v<T, double>;

  /// Computes one product; cuts it into blocks where an extent exceeds `limit`. `limit` is a parameter so that tests
  /// can lower it.
  static void multiply(GemmBatch<T> const& one, std::int64_t limit = std::numeric_limits<int>::max()) {
    std::int64_t const longest = std::max({one.a_row, one.a_column, one.b_row, one.b_column, one.c_row});
    if (longest > std::numeric_limits<int>::max()) return multiply_wide(one);
    for (std::int64_t i = 0; i < one.m; i += limit)
      for (std::int64_t j = 0; j < one.n; j += limit)
        for (std::int64_t l = 0; l < one.k; l += limit)
          multiply_block(one.block(one.a + i * one.a_row + l * one.a_column, one.b + l * one.b_row + j * one.b_column,
                                   one.c + i * one.c_row + j, std::min(limit, one.m - i), std::min(limit, one.n - j),
                                   std::min(limit, one.k - l), one.accumulate || l > 0));
  }

  /// Computes all products of the batch. Small products (m n k <= small_product), at least two per thread, run in
  /// parallel, one thread each. Other products run one after the other, each on the threads of the library.
  template <class MemorySpace>
  static void run(GemmBatch<T> const& batch) {
    std::int64_t const count = batch.count();
#if defined(KOKKOS_ENABLE_OPENMP)
    if constexpr (std::is_same_v<typename MemorySpace::execution_space, Kokkos::OpenMP>) {
      Kokkos::OpenMP const space = execution_space<MemorySpace>();
      std::int64_t const threads = space.concurrency();
      bool const small = batch.m * batch.n * batch.k <= small_product;
      if (threads > 1 && count >= 2 * threads && small) {
        using Policy =
            Kokkos::RangePolicy<Kokkos::OpenMP, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>;
        Kokkos::parallel_for("gshard::gemm_batch", Policy(space, 0, count), Product{batch});
        return;
      }
    }
#endif
    for (std::int64_t i = 0; i < count; ++i) multiply(batch.product(i));
  }

 private:
  static constexpr std::int64_t small_product = std::int64_t{1} << 24;

  struct Product {
    GemmBatch<T> batch;
    void operator()(std::int64_t index) const { multiply(batch.product(index)); }
  };

  static int narrow(std::int64_t value) { return static_cast<int>(value); }

  /// Computes one product whose extents and strides fit `int`; calls gemv if m or n is 1.
  static void multiply_block(GemmBatch<T> const& one) {
    StoredMatrix const a = stored_matrix(one.m, one.k, one.a_row, one.a_column);
    StoredMatrix const b = stored_matrix(one.k, one.n, one.b_row, one.b_column);
    if (one.n == 1 && one.m > 1 && one.k > 1)
      return multiply_vector(a, one.m, one.k, one.a, one.b, one.b_row, one.c, one.c_row, one.accumulate);
    if (one.m == 1 && one.n > 1 && one.k > 1)
      return multiply_vector({!b.transposed, b.leading}, one.n, one.k, one.b, one.a, one.a_column, one.c, 1,
                             one.accumulate);
    std::int64_t const c_leading = one.m == 1 ? one.n : one.c_row;
    cblas_gemm(a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans, narrow(one.m),
               narrow(one.n), narrow(one.k), one.a, narrow(a.leading), one.b, narrow(b.leading),
               one.accumulate ? T(1) : T(0), one.c, narrow(c_leading));
  }

  /// Computes y = or += matrix x; matrix (rows, columns), x (columns), y (rows). Zeroes y beforehand and uses beta = 1:
  /// a library may read y with beta = 0, and spread a NaN.
  static void multiply_vector(StoredMatrix matrix, std::int64_t rows, std::int64_t columns, T const* data, T const* x,
                              std::int64_t x_step, T* y, std::int64_t y_step, bool accumulate) {
    if (!accumulate)
      for (std::int64_t i = 0; i < rows; ++i) y[i * y_step] = T(0);
    cblas_gemv(matrix.transposed ? CblasTrans : CblasNoTrans, narrow(matrix.transposed ? columns : rows),
               narrow(matrix.transposed ? rows : columns), data, narrow(matrix.leading), x, narrow(x_step), y,
               narrow(y_step));
  }

  /// Computes one product, by plain loops, whose strides do not fit `int`.
  static void multiply_wide(GemmBatch<T> const& one) {
    for (std::int64_t i = 0; i < one.m; ++i) {
      T* const row = one.c + i * one.c_row;
      for (std::int64_t j = 0; j < one.n; ++j) {
        T sum = one.accumulate ? row[j] : T(0);
        for (std::int64_t l = 0; l < one.k; ++l)
          sum += one.a[i * one.a_row + l * one.a_column] * one.b[l * one.b_row + j * one.b_column];
        row[j] = sum;
      }
    }
  }
};

}  // namespace gshard::detail

#endif
