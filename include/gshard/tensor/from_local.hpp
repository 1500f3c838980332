// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/describe.hpp>

namespace gshard {

/// Returns a tensor of the given global extents whose block on this rank is a copy of `view`.
/// `view`: this rank's block, of any Kokkos layout, in the memory space of the tensor or accessible from the host.
/// Of an unreduced sum, each rank passes its addend. The label of the view becomes the name of the tensor.
/// Does not compile if the view has another rank or element type than the tensor.
/// From device memory, the copy runs in the order of gshard's kernels and is not waited for.
/// Communication: none.
/// Throws ExtentError if the extents of the view are not those of this rank's block. Other ranks may not throw.
/// Throws also what the constructor of the tensor throws.
template <AnyTensor Tensor, class View>
Tensor from_local(typename Tensor::mesh_type const& mesh, Extents const& extents, View const& view) {
  static_assert(
      static_cast<int>(View::rank()) == Tensor::rank,
      "gshard: from_local is given a view with another number of dimensions than the tensor; give it this rank's block");
  static_assert(std::is_same_v<typename View::non_const_value_type, typename Tensor::value_type>,
                "gshard: from_local is given a view of other elements than the tensor's; convert them first");
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
  static_assert(
      std::is_same_v<typename View::memory_space, Space> || detail::is_abstract<Space> ||
          Kokkos::SpaceAccessibility<Kokkos::HostSpace, typename View::memory_space>::accessible,
      "gshard: from_local is given a view in device memory for a tensor in other memory; copy the view to the "
      "memory of the tensor, or to the host, first");
  Tensor tensor(uninitialized, mesh, extents, view.label());
  Extents given;
  Extents strides;
  for (int d = 0; d < Tensor::rank; ++d) {
    given.push_back(static_cast<std::int64_t>(view.extent(static_cast<std::size_t>(d))));
    strides.push_back(static_cast<std::int64_t>(view.stride(static_cast<std::size_t>(d))));
  }
  if (!(given == tensor.local_extents()))
    throw ExtentError(detail::concat(
        "from_local of ", detail::title_of(tensor), ": rank ", mesh.rank(), " holds ", detail::text_of(tensor.block()),
        ", extents ", detail::text_of(tensor.local_extents()), ", but its view has extents ", detail::text_of(given)));
  Extents const packed = packed_strides(given);
  if constexpr (std::is_same_v<typename View::memory_space, Space>) {
    detail::copy_strided<T, Space>(tensor.data(), packed, view.data(), strides, given);
  } else if constexpr (!detail::is_abstract<Space>) {
    auto const block = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(tensor.local_size()));
    detail::copy_strided<T, Kokkos::HostSpace>(block.get(), packed, view.data(), strides, given);
    detail::copy_from_host<Space>(tensor.data(), block.get(), tensor.local_size());
  }
  return tensor;
}

}  // namespace gshard
