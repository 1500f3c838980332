// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/nn/operation.hpp>

namespace gshard::nn {

namespace detail {

template <class T, class MemorySpace>
struct ArgmaxKernel {
  Rank2<T const, MemorySpace> rows;
  Rank1<int, MemorySpace> largest;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    int best = 0;
    for (int column = 1; column < static_cast<int>(rows.extent(1)); ++column)
      if (rows(row, column) > rows(row, best)) best = column;
    largest(row) = best;
  }
};

}  // namespace detail

/// The index of the largest element along the last dimension, which is whole; the lowest one on a tie. Local.
template <AnyTensor Tensor>
auto argmax(Tensor const& x) {
  static_assert(Tensor::rank >= 1 && Tensor::layout.dimensions[Tensor::rank - 1].empty(),
                "gshard: argmax works on a whole last dimension; reshard x so that it is `_`");
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static constexpr Layout layout = [] {
    Layout result = Tensor::layout;
    result.dimensions.pop_back();
    return result;
  }();
  Extents extents = x.extents();
  extents.pop_back();
  using Mesh = typename Tensor::mesh_type;
  ShardedTensor<Mesh, spec_of<Mesh, layout>, int, Space> const result(uninitialized, x.mesh(), extents);
  gshard::detail::launch<Space>("gshard::argmax", result.local_size(), detail::ArgmaxKernel<T, Space>{detail::rows_of(x), detail::row_of(result)});
  return result;
}

}  // namespace gshard::nn
