// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include <gshard/core/checked.hpp>
#include <gshard/core/ledger.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

/// Returns the size of this rank's block in bytes.
template <AnyTensor Tensor>
std::int64_t block_bytes(Tensor const& tensor) {
  return tensor.local_size() * static_cast<std::int64_t>(sizeof(typename Tensor::value_type));
}

/// Records in the ledger a call of `operation` that reads or writes each tensor once: their local bytes, and 0 flops.
/// Does nothing while the ledger is closed.
template <AnyTensor First, AnyTensor... Rest>
void record_kernel(std::string_view operation, First const& first, Rest const&... rest) {
  first.memory().ledger().add_work(operation, 0, saturated_sum(0, block_bytes(first), block_bytes(rest)...));
}

}  // namespace gshard::detail
