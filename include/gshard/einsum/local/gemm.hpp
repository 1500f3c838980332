// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/core/launch.hpp>
#include <gshard/einsum/local/gemm_batch.hpp>
#include <gshard/einsum/local/gemm_cblas.hpp>
#include <gshard/einsum/local/gemm_kokkos_kernels.hpp>
#include <gshard/tensor/loop_nest.hpp>

namespace gshard {

/// Matrix library for one memory space and element type: the only place where gshard calls one.
/// Users specialise it to use another library. A specialisation has
///   static constexpr bool available = true;
///   static void run(GemmBatch<T> const& batch);
/// `run` returns after the work is finished, or enqueued on the default instance of the execution space of the memory.
/// It runs no einsum of its own: the batch refers to a kept lowering, which that may replace.
/// If `available` is false, as for integers, contractions run as the kernels of direct.hpp.
template <class MemorySpace, class T>
struct LocalGemm {
#if defined(GSHARD_HAVE_CBLAS)
  static constexpr bool uses_cblas = detail::runs_on_host<MemorySpace> && detail::CblasGemm<T>::available;
#else
  static constexpr bool uses_cblas = false;
#endif
#if defined(GSHARD_HAVE_KOKKOS_KERNELS)
  static constexpr bool uses_kokkos_kernels = !uses_cblas && detail::KokkosKernelsGemm<MemorySpace, T>::available;
#else
  static constexpr bool uses_kokkos_kernels = false;
#endif
  /// Whether a library computes products of this type; CBLAS is preferred to Kokkos Kernels.
  static constexpr bool available = uses_cblas || uses_kokkos_kernels;

  /// Computes the products of `batch`; does nothing in AbstractSpace.
  static void run([[maybe_unused]] GemmBatch<T> const& batch) {
#if defined(GSHARD_HAVE_CBLAS)
    if constexpr (uses_cblas && !detail::is_abstract<MemorySpace>)
      detail::CblasGemm<T>::template run<MemorySpace>(batch);
#endif
#if defined(GSHARD_HAVE_KOKKOS_KERNELS)
    if constexpr (uses_kokkos_kernels && !detail::is_abstract<MemorySpace>)
      detail::KokkosKernelsGemm<MemorySpace, T>::run(batch);
#endif
  }
};

}  // namespace gshard
