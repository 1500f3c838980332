// SPDX-License-Identifier: Apache-2.0
#pragma once

// Empty in a build without Kokkos Kernels.
#if defined(GSHARD_HAVE_KOKKOS_KERNELS)

#include <cstdint>
#include <type_traits>

#include <KokkosBlas3_gemm.hpp>
#include <Kokkos_Core.hpp>

#include <gshard/core/execution.hpp>
#include <gshard/einsum/local/gemm_batch.hpp>

namespace gshard::detail {

/// Computes matrix products by Kokkos Kernels, on any of its execution spaces. A row-major matrix is the transpose of a
/// LayoutLeft view, and LayoutLeft is the layout that every build of the library instantiates: this computes C^T = B^T
/// A^T.
template <class MemorySpace, class T>
struct KokkosKernelsGemm {
  static constexpr bool available = std::is_same_v<T, float> || std::is_same_v<T, double>;

  /// Launches the products of the batch one after the other, on the default instance of the execution space.
  static void run(GemmBatch<T> const& batch) {
    ExecutionSpace const space = execution_space<MemorySpace>();
    for (std::int64_t i = 0; i < batch.count(); ++i) multiply(space, batch.product(i));
  }

 private:
  using ExecutionSpace = typename MemorySpace::execution_space;
  using Device = Kokkos::Device<ExecutionSpace, MemorySpace>;

  /// Returns a LayoutLeft view (rows, columns) of storage with leading dimension `leading`.
  template <class Element>
  static auto matrix(Element* data, std::int64_t rows, std::int64_t columns, std::int64_t leading) {
    using View = Kokkos::View<Element**, Kokkos::LayoutLeft, Device, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    View const whole(data, static_cast<std::size_t>(leading), static_cast<std::size_t>(columns));
    return Kokkos::subview(whole, Kokkos::pair<std::int64_t, std::int64_t>(0, rows), Kokkos::ALL);
  }

  /// Returns the LayoutLeft view of the storage of a row-major (rows, columns) matrix.
  static auto operand(T const* data, StoredMatrix stored, std::int64_t rows, std::int64_t columns) {
    return stored.transposed ? matrix(data, rows, columns, stored.leading)
                             : matrix(data, columns, rows, stored.leading);
  }

  static void multiply(ExecutionSpace const& space, GemmBatch<T> const& one) {
    StoredMatrix const a = stored_matrix(one.m, one.k, one.a_row, one.a_column);
    StoredMatrix const b = stored_matrix(one.k, one.n, one.b_row, one.b_column);
    auto const c = matrix(one.c, one.n, one.m, one.m == 1 ? one.n : one.c_row);
    KokkosBlas::gemm(space, b.transposed ? "T" : "N", a.transposed ? "T" : "N", T(1), operand(one.b, b, one.k, one.n),
                     operand(one.a, a, one.m, one.k), one.accumulate ? T(1) : T(0), c);
  }
};

}  // namespace gshard::detail

#endif
