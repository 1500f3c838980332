// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/describe.hpp>

namespace gshard {

/// A tensor of these global extents from what each rank has of it: `view` is this rank's block, of any layout, in the
/// tensor's memory or on the host; its elements are copied. Of an unreduced sum each rank gives its part. No
/// communication. Throws ExtentError where the view is not of the size of this rank's block, on this rank alone: others
/// do not know of it.
template <AnyTensor Tensor, class View>
Tensor from_local(typename Tensor::mesh_type const& mesh, Extents const& extents, View const& view) {
  static_assert(
      static_cast<int>(View::rank()) == Tensor::rank,
      "gshard: from_local is given a view with another number of dimensions than the tensor; give it this rank's block");
  static_assert(std::is_same_v<typename View::non_const_value_type, typename Tensor::value_type>,
                "gshard: from_local is given a view of other elements than the tensor's; convert them first");
  using T = typename Tensor::value_type;
  using Space = typename Tensor::memory_space;
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
