// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <Kokkos_Core.hpp>

namespace gshard {

/// The memory of a machine that one does not have: tensors in it have extents, layouts and addresses, but no elements. As the memory space of tensors and
/// layers on the mesh of an AbstractRuntime it makes a program run with nothing allocated, computed or sent, while the runtime's ledger counts. Numbers
/// that depend on elements, as a loss copied to the host, are 0.
struct AbstractSpace {
  using memory_space = AbstractSpace;
  /// Where kernels would run; none does.
  using execution_space = Kokkos::DefaultHostExecutionSpace;
};

namespace detail {

template <class MemorySpace>
inline constexpr bool is_abstract = std::is_same_v<MemorySpace, AbstractSpace>;

/// The memory space that Kokkos is told for a view on tensors in `MemorySpace`.
template <class MemorySpace>
using ViewSpace = std::conditional_t<is_abstract<MemorySpace>, Kokkos::HostSpace, MemorySpace>;

}  // namespace detail
}  // namespace gshard
