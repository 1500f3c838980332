// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <gshard/tensor/copy_block.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

/// Returns a tensor whose elements are `elements`, in row-major order of the global indices.
/// Precondition: every rank passes all elements, in host memory. Each rank copies its block.
/// Does not compile if the tensor is an unreduced sum.
/// Communication: none.
/// Throws ExtentError, on all ranks, if the number of elements is not the product of the extents.
/// Throws also what the constructor of the tensor throws.
template <AnyTensor Tensor>
Tensor from_vector(typename Tensor::mesh_type const& mesh, Extents const& extents,
                   std::span<typename Tensor::value_type const> elements) {
  static_assert(Tensor::layout.partial.empty(),
                "gshard: from_vector makes a tensor that is not an unreduced sum; reshard it afterwards");
  using T = typename Tensor::value_type;
  detail::require_set("from_vector", mesh);
  if (static_cast<std::int64_t>(elements.size()) != product(Tensor::checked(extents, "")))
    throw ExtentError(
        detail::concat("from_vector: ", elements.size(), " elements given for extents ", detail::text_of(extents)));
  Tensor tensor(uninitialized, mesh, extents);
  if (detail::is_abstract<typename Tensor::memory_space> || tensor.local_size() == 0) return tensor;
  auto const block = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(tensor.local_size()));
  Extents start = extents;
  for (std::int64_t& offset : start) offset = 0;
  detail::copy_block<T, Kokkos::HostSpace>(block.get(), tensor.local_extents(), start, elements.data(), extents,
                                           tensor.block().offsets, tensor.local_extents());
  detail::copy_from_host<typename Tensor::memory_space>(tensor.data(), block.get(), tensor.local_size());
  return tensor;
}

}  // namespace gshard
