// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

/// Returns a tensor with the type, mesh and extents of `like`, elements unset. Communication: none.
/// Throws StateError if `like` is unset, MemoryError as the constructors of ShardedTensor.
template <AnyTensor Tensor>
Tensor empty_like(Tensor const& like) {
  detail::require_set("empty_like", {{"like", like}});
  return Tensor(uninitialized, like.mesh(), like.extents());
}

/// Does the same with all elements 0.
template <AnyTensor Tensor>
Tensor zeros_like(Tensor const& like) {
  detail::require_set("zeros_like", {{"like", like}});
  return Tensor(like.mesh(), like.extents());
}

}  // namespace gshard
