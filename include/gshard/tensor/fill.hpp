// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

/// Global index of an element: one number per dimension.
template <int Rank>
using GlobalIndex = Kokkos::Array<std::int64_t, static_cast<std::size_t>(Rank)>;

namespace detail {

/// Sets the element at a position of the packed block to `function` of its global index.
template <class T, int Rank, class Function>
struct FillKernel {
  T* data;
  Extents offsets;
  Extents extents;
  Function function;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    GlobalIndex<Rank> index{};
    std::int64_t rest = position;
    for (int dimension = Rank - 1; dimension >= 0; --dimension) {
      index[static_cast<std::size_t>(dimension)] = offsets[dimension] + rest % extents[dimension];
      rest /= extents[dimension];
    }
    data[position] = static_cast<T>(function(index));
  }
};

}  // namespace detail

/// Sets each element to `function(index)`, with `index` its GlobalIndex, so that the values do not depend on the mesh.
/// Of an unreduced sum, each rank sets its addend so.
/// `function` runs in a kernel: any callable on the host, a function object with a device `operator()` on a device.
/// Communication: none.
/// Throws StateError if the tensor is unset.
template <AnyTensor Tensor, class Function>
void fill(Tensor const& tensor, Function const& function) {
  detail::require_set("fill", {{"tensor", tensor}});
  using Kernel = detail::FillKernel<typename Tensor::value_type, Tensor::rank, Function>;
  detail::launch<typename Tensor::memory_space>(
      "gshard::fill", tensor.local_size(),
      Kernel{tensor.data(), tensor.block().offsets, tensor.block().extents, function});
}

}  // namespace gshard
