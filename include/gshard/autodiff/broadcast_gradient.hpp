// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <gshard/expr/expression.hpp>
#include <gshard/reduce/local/reduce_block.hpp>
#include <gshard/tensor/record_kernel.hpp>

namespace gshard::detail {

/// Positions of the dimensions of `Result` along which a tensor of type `Tensor` is broadcast.
template <AnyTensor Result, AnyTensor Tensor>
constexpr StaticVector<int, max_rank> broadcast_dimensions() {
  StaticVector<int, max_rank> dimensions;
  constexpr int missing = Result::rank - Tensor::rank;
  for (int d = 0; d < Result::rank; ++d)
    if (d < missing || (Tensor::static_extents[d - missing] == 1 && Result::static_extents[d] != 1))
      dimensions.push_back(d);
  return dimensions;
}

/// Returns the layout of the sum over those dimensions that each rank computes of its block: as `Tensor` has
/// dimensions, split as the result, and unreduced over the axes that split the dimensions of the sum.
template <AnyTensor Result, AnyTensor Tensor>
constexpr Layout layout_of_broadcast_sum() {
  using Axes = std::remove_cvref_t<decltype(Result::layout.dimensions[0])>;
  Layout layout;
  layout.partial = Result::layout.partial;
  constexpr int missing = Result::rank - Tensor::rank;
  constexpr auto summed = broadcast_dimensions<Result, Tensor>();
  for (int d = 0; d < Result::rank; ++d) {
    if (summed.contains(d)) layout.partial |= set_of(Result::layout.dimensions[d]);
    if (d >= missing) layout.dimensions.push_back(summed.contains(d) ? Axes{} : Result::layout.dimensions[d]);
  }
  return layout;
}

/// Returns the gradient that an operand of type `Tensor` gets from `expression`, with a value for each element of the
/// result: the sum over the dimensions along which the operand was broadcast, of the block of this rank, in one pass
/// unless the expression itself broadcasts. Communication: none; resharding the result to the spec of the operand is
/// the planned sum.
template <AnyTensor Tensor, class Expression>
auto broadcast_sum(Expression const& expression) {
  auto const& ready = prepared(expression);
  using Ready = std::remove_cvref_t<decltype(ready)>;
  using Result = FirstTensor<Ready>;
  using T = typename StoredType<Ready>::type;
  static constexpr auto summed = broadcast_dimensions<Result, Tensor>();
  auto const& first = first_tensor(ready);
  Extents extents;
  for (int d = Result::rank - Tensor::rank; d < Result::rank; ++d)
    extents.push_back(summed.contains(d) ? 1 : first.extent(d));
  using Mesh = typename Result::mesh_type;
  ShardedTensor<Mesh, spec_of<Mesh, layout_of_broadcast_sum<Result, Tensor>()>, T, typename Result::memory_space> const
      sum(uninitialized, first.mesh(), extents);
  first.memory().ledger().add_work("reduce", 0, saturated_sum(block_bytes(sum), bytes_read(ready)));
  [&]<std::size_t... Position>(std::index_sequence<Position...>) {
    using Along = Dimensions<Result, summed[static_cast<int>(Position)]...>;
    reduce_block<Summing, Along>(ready, first.block(), 1, sum.data());
  }(std::make_index_sequence<static_cast<std::size_t>(summed.size())>{});
  return sum;
}

}  // namespace gshard::detail
