// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <Kokkos_Core.hpp>

// Tells the address sanitizer which memory of the pool is unused: an access to it is reported. Without the sanitizer
// these functions do nothing.

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

/// The number of bytes behind each block that stay poisoned.
inline constexpr std::size_t poisoned_bytes = 64;

/// Makes accesses to memory that the host can reach an error.
template <class MemorySpace>
void poison(void* memory, std::size_t bytes) {
  if constexpr (Kokkos::SpaceAccessibility<Kokkos::HostSpace, MemorySpace>::accessible)
    __asan_poison_memory_region(memory, bytes);
}
/// Allows accesses again.
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
