// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/core/launch.hpp>
#include <gshard/einsum/local/gemm_batch.hpp>
#include <gshard/einsum/local/gemm_cblas.hpp>
#include <gshard/einsum/local/gemm_kokkos_kernels.hpp>
#include <gshard/tensor/loop_nest.hpp>

namespace gshard {

/// The one place where gshard calls a matrix library: specialise it for a memory space and an element type to use
/// another one. A specialisation has
///   static constexpr bool available = true;
///   static void run(GemmBatch<T> const& batch);
/// where run leaves its work on the default instance of the memory's execution space, or finished. Where `available` is
/// false, as for integers, contractions run as plain kernels.
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
  static constexpr bool available = uses_cblas || uses_kokkos_kernels;

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
