// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/core/rows.hpp>
#include <gshard/core/vector_exp.hpp>

// The kernels of the layers work on one rank's blocks. Each takes its element type and memory space as explicit
// template arguments, softmax<Kokkos::HostSpace, float>(...), so that any packed LayoutRight view, a managed one or one
// of non-const elements too, converts to the parameters below. They allocate nothing, start on the memory space's
// default execution space, and do not wait.

namespace gshard::nn::detail {

using gshard::detail::for_each_row;
using gshard::detail::launch;
using gshard::detail::loop_exp;
using gshard::detail::runs_on_host;
using gshard::detail::ThreadLanes;

template <class T, class MemorySpace>
using Rank0 = Kokkos::View<T, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
template <class T, class MemorySpace>
using Rank1 = Kokkos::View<T*, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
template <class T, class MemorySpace>
using Rank2 = Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
template <class T, class MemorySpace>
using Rank3 = Kokkos::View<T***, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
template <class T, class MemorySpace>
using Rank4 = Kokkos::View<T****, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

/// An extent of a view as a signed number.
template <class View>
KOKKOS_FORCEINLINE_FUNCTION std::int64_t extent(View const& view, int dimension) {
  return static_cast<std::int64_t>(view.extent(static_cast<std::size_t>(dimension)));
}

}  // namespace gshard::nn::detail
