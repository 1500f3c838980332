// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>

#include <Kokkos_Core.hpp>

namespace gshard {

struct AbstractSpace;

/// Placeholder execution space of AbstractSpace.
/// gshard skips its own kernels on it; a Kokkos kernel of the program that is launched on it does not compile.
struct AbstractExecution {
  using execution_space = AbstractExecution;
  using memory_space = AbstractSpace;
  using device_type = Kokkos::Device<AbstractExecution, AbstractSpace>;
  using scratch_memory_space = AbstractSpace;
  using array_layout = Kokkos::LayoutRight;
  using size_type = std::size_t;
};

/// Placeholder memory space for costing: tensors in it have extents, layouts and addresses, but no elements.
/// Tensors and layers in it belong on the mesh of an AbstractRuntime; operations write its ledger, and allocate,
/// compute and send nothing.
/// Values copied to the host, such as a loss, are 0.
/// Precondition: the program does not access elements of `local()`; Kokkos aborts on such an access.
struct AbstractSpace {
  using memory_space = AbstractSpace;
  using execution_space = AbstractExecution;
  using device_type = Kokkos::Device<AbstractExecution, AbstractSpace>;
  using size_type = std::size_t;
};

namespace detail {

/// True for AbstractSpace only.
template <class MemorySpace>
inline constexpr bool is_abstract = std::is_same_v<MemorySpace, AbstractSpace>;

}  // namespace detail
}  // namespace gshard
