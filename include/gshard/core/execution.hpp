// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <Kokkos_Core.hpp>

// The execution-space instance, such as a CUDA stream, on which all kernels of gshard run. Temporaries rely on its
// order: a kernel may use memory that an earlier kernel on the same instance has finished with.

namespace gshard::detail {

/// Holds the instance that Runtime::use_execution_space has chosen; empty for Kokkos' default instance.
template <class ExecutionSpace>
std::optional<ExecutionSpace>& chosen_execution_space() {
  static std::optional<ExecutionSpace> chosen;
  return chosen;
}

/// Returns the instance on which kernels on `MemorySpace` run.
template <class MemorySpace>
typename MemorySpace::execution_space execution_space() {
  using ExecutionSpace = typename MemorySpace::execution_space;
  std::optional<ExecutionSpace> const& chosen = chosen_execution_space<ExecutionSpace>();
  return chosen ? *chosen : ExecutionSpace();
}

}  // namespace gshard::detail
