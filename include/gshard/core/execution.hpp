// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <Kokkos_Core.hpp>

// The execution-space instance, such as a CUDA stream, on which gshard launches all kernels of an execution space. The
// memory pool relies on its order: a block that a launched kernel still uses can be given to a later kernel without a
// fence.

namespace gshard::detail {

/// Returns the instance chosen by Runtime::use_execution_space; empty means Kokkos' default instance.
template <class ExecutionSpace>
std::optional<ExecutionSpace>& chosen_execution_space() {
  static std::optional<ExecutionSpace> chosen;
  return chosen;
}

/// Returns the instance on which kernels that access `MemorySpace` run.
template <class MemorySpace>
typename MemorySpace::execution_space execution_space() {
  using ExecutionSpace = typename MemorySpace::execution_space;
  std::optional<ExecutionSpace> const& chosen = chosen_execution_space<ExecutionSpace>();
  return chosen ? *chosen : ExecutionSpace();
}

}  // namespace gshard::detail
