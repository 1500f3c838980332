// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>

#include <Kokkos_Core.hpp>

namespace gshard {

struct AbstractSpace;

/// Where kernels on AbstractSpace would run: nowhere. gshard leaves its own out; one that a program gives to Kokkos
/// itself does not compile for it.
struct AbstractExecution {
  using execution_space = AbstractExecution;
  using memory_space = AbstractSpace;
  using device_type = Kokkos::Device<AbstractExecution, AbstractSpace>;
  using scratch_memory_space = AbstractSpace;
  using array_layout = Kokkos::LayoutRight;
  using size_type = std::size_t;
};

/// The memory of a machine that one does not have: tensors in it have extents, layouts and addresses, but no elements.
/// As the memory space of tensors and layers on the mesh of an AbstractRuntime it makes a program run with nothing
/// allocated, computed or sent, while the runtime's ledger counts. Numbers that depend on elements, as a loss copied to
/// the host, are 0; a look at an element of `local()` ends the program with a message of Kokkos.
struct AbstractSpace {
  using memory_space = AbstractSpace;
  using execution_space = AbstractExecution;
  using device_type = Kokkos::Device<AbstractExecution, AbstractSpace>;
  using size_type = std::size_t;
};

namespace detail {

template <class MemorySpace>
inline constexpr bool is_abstract = std::is_same_v<MemorySpace, AbstractSpace>;

}  // namespace detail
}  // namespace gshard
