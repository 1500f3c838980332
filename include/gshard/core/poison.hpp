// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <Kokkos_Core.hpp>

// Marks the free memory of the pool for the address sanitizer, which reports accesses to it. Without the sanitizer the
// functions do nothing.

#if defined(__SANITIZE_ADDRESS__)
#define GSHARD_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GSHARD_ADDRESS_SANITIZER
#endif
#endif
#ifdef GSHARD_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace gshard::detail {

#ifdef GSHARD_ADDRESS_SANITIZER

/// Number of bytes after each block that stay poisoned, to detect writes past its end.
inline constexpr std::size_t poisoned_bytes = 64;

/// Makes accesses to the memory an error, if the host can access `MemorySpace`.
template <class MemorySpace>
void poison(void* memory, std::size_t bytes) {
  if constexpr (Kokkos::SpaceAccessibility<Kokkos::HostSpace, MemorySpace>::accessible)
    __asan_poison_memory_region(memory, bytes);
}
/// Allows accesses to the memory again.
template <class MemorySpace>
void unpoison(void* memory, std::size_t bytes) {
  if constexpr (Kokkos::SpaceAccessibility<Kokkos::HostSpace, MemorySpace>::accessible)
    __asan_unpoison_memory_region(memory, bytes);
}

#else

inline constexpr std::size_t poisoned_bytes = 0;

template <class MemorySpace>
void poison(void*, std::size_t) {}
template <class MemorySpace>
void unpoison(void*, std::size_t) {}

#endif

}  // namespace gshard::detail
