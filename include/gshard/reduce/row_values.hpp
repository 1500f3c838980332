// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/comm/all_reduce.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/reduce/dimensions.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/rules.hpp>

namespace gshard::detail {

/// What one value for each row along the reduced dimensions of a tensor comes to over all ranks: one all-reduce over
/// the axes that split these dimensions.
template <class Dimensions, class Rule, AnyTensor Tensor, class Term>
typename Rule::accumulator* row_values(Scratch<typename Tensor::memory_space>& scratch, Tensor const& tensor,
                                       Term const& term) {
  using Space = typename Tensor::memory_space;
  using Value = typename Rule::accumulator;
  std::int64_t const rows = product(Dimensions::kept_extents(tensor.local_extents()));
  Value* const values = scratch.template get<Value>(rows);
  if (tensor.local_size() == 0) fill_elements<Space>(values, rows, Rule::identity());
  else
    fold<Space, Rule>("gshard::rows", tensor.memory(), fold_loops(tensor.local_extents(), Dimensions::reduced), term,
                      StoreInRow<Value>{values});
  fence<Space>("gshard::rows: what is sent is computed");
  comm::all_reduce<Space>(tensor.mesh_state().group(Dimensions::axes), values, rows, Rule::kind);
  return values;
}

}  // namespace gshard::detail
