// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include <gshard/core/ledger.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

template <AnyTensor Tensor>
std::int64_t block_bytes(Tensor const& tensor) {
  return tensor.local_size() * static_cast<std::int64_t>(sizeof(typename Tensor::value_type));
}

/// Enters a kernel that reads or writes each of these tensors once into the ledger, if that is open.
template <AnyTensor First, AnyTensor... Rest>
void record_kernel(std::string_view operation, First const& first, Rest const&... rest) {
  first.memory().ledger().add_work(operation, 0, (block_bytes(first) + ... + block_bytes(rest)));
}

}  // namespace gshard::detail
