// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/core/static_vector.hpp>

namespace gshard::detail {

/// Data type of a Kokkos::View: T followed by `Rank` asterisks.
template <class T, int Rank>
struct ViewData {
  using type = typename ViewData<T, Rank - 1>::type*;
};
template <class T>
struct ViewData<T, 0> {
  using type = T;
};

/// Kokkos view of a block of a tensor.
template <class T, int Rank, class MemorySpace>
using LocalView = Kokkos::View<typename ViewData<T, Rank>::type, Kokkos::LayoutRight, MemorySpace>;

/// Returns an unmanaged view of the packed block of these extents at `data`.
template <class T, int Rank, class MemorySpace>
LocalView<T, Rank, MemorySpace> local_view(T* data, Extents const& extents) {
  return [&]<std::size_t... Dimensions>(std::index_sequence<Dimensions...>) {
    return LocalView<T, Rank, MemorySpace>(data, static_cast<std::size_t>(extents[static_cast<int>(Dimensions)])...);
  }(std::make_index_sequence<static_cast<std::size_t>(Rank)>{});
}

}  // namespace gshard::detail
