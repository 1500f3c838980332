// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/comm/all_reduce.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/local/rules.hpp>

namespace gshard::detail {

/// Describes, by values, the rows of a tensor's block along the reduced dimensions.
struct BlockRows {
  TensorState const& tensor;
  ReducedDimensions reduced;
  int dimension;  ///< the first reduced dimension
  AxisSet axes;   ///< the axes that split the reduced dimensions

  Extents const& extents() const { return tensor.block.extents; }
  MemoryPool& memory() const { return tensor.mesh->memory(); }
  Group const& group() const { return tensor.mesh->group(axes); }

  /// Returns the number of rows.
  std::int64_t count() const {
    std::int64_t result = 1;
    for (int d = 0; d < extents().size(); ++d)
      if (!reduced[d]) result *= extents()[d];
    return result;
  }
};

template <class Dimensions, AnyTensor Tensor>
BlockRows block_rows(Tensor const& tensor) {
  return {*tensor.handle(), Dimensions::reduced, Dimensions::only, Dimensions::axes};
}

/// Reduces each row to one value, over all ranks. Communication: one all-reduce over `rows.axes`.
template <class Rule, class MemorySpace, class Term>
typename Rule::accumulator* row_values(Scratch<MemorySpace>& scratch, BlockRows const& rows, Term const& term) {
  using Value = typename Rule::accumulator;
  std::int64_t const count = rows.count();
  Value* const values = scratch.template get<Value>(count);
  if (rows.tensor.local_size == 0) fill_elements<MemorySpace>(values, count, Rule::identity());
  else
    fold<MemorySpace, Rule>("gshard::rows", rows.memory(), fold_loops(rows.extents(), rows.reduced), term,
                            StoreInRow<Value>{values});
  fence<MemorySpace>("gshard::rows: what is sent is computed");
  comm::all_reduce<MemorySpace>(rows.group(), values, count, Rule::kind);
  return values;
}

}  // namespace gshard::detail
