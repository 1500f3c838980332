// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/core/compiled.hpp>
#include <gshard/expr/expression.hpp>
#include <gshard/reduce/kernels/fold.hpp>
#include <gshard/reduce/local/dimensions.hpp>
#include <gshard/reduce/local/rules.hpp>

// Reductions of the block of one rank.

namespace gshard::detail {

/// Where a reduced value goes, in its own type, times a factor.
template <class T, class Accumulator>
struct StoreResult {
  T* data;
  Accumulator factor;
  KOKKOS_FORCEINLINE_FUNCTION void operator()(std::int64_t row, Accumulator const& value) const {
    data[row] = static_cast<T>(value * factor);
  }
};

/// The element type in which a reduction of T stores what it finds. Maxima and products are rounded after their
/// all-reduce; products are sent in the type that they are kept in.
template <class Operation, class T>
using ReducedElement =
    std::conditional_t<Operation::kind == comm::Reduction::sum, typename Operation::template result<T>,
                       std::conditional_t<Operation::kind == comm::Reduction::product,
                                          typename Operation::template accumulator<Computed<T>>, Computed<T>>>;

/// Reduces the elements of `kernel` at `loops`, from position `begin` on, into `result`; multiplies the reduced values
/// by `factor`.
template <class MemorySpace, class T, class Operation, class Result = ReducedElement<Operation, T>,
          class Kernel = LeafKernel<T>>
void reduce_elements(MemoryPool& memory, FoldLoops const& loops, Kernel const& kernel, std::int64_t begin,
                     double factor, Result* result) {
  using Rule = RuleOf<Operation, Computed<T>>;
  using Accumulator = typename Rule::accumulator;
  fold<MemorySpace, Rule>("gshard::reduce", memory, loops, ElementTerm<Operation, Accumulator, Kernel>{kernel, begin},
                          StoreResult<Result, Accumulator>{result, static_cast<Accumulator>(factor)});
}
GSHARD_COMPILED(reduce_elements, Summing)
GSHARD_COMPILED(reduce_elements, Averaging)
GSHARD_COMPILED(reduce_elements, Multiplying)
GSHARD_COMPILED(reduce_elements, Choosing<comm::Reduction::maximum>)
GSHARD_COMPILED(reduce_elements, Choosing<comm::Reduction::minimum>)
GSHARD_COMPILED_FLOATS(reduce_elements, Norming, double)

/// Reduces the part `wanted` of the block that this rank holds of an expression into `result`, whose rows lie packed.
template <class Operation, class Dimensions, class Ready, class T>
void reduce_block(Ready const& ready, Block const& wanted, double factor, T* result) {
  using Space = typename FirstTensor<Ready>::memory_space;
  using Rule = RuleOf<Operation, ValueOf<Ready>>;
  using Accumulator = typename Rule::accumulator;
  auto const& first = first_tensor(ready);
  Extents const rows = Dimensions::kept_extents(wanted.extents);
  if (product(wanted.extents) == 0) {
    fill_elements<Space>(result, product(rows), static_cast<T>(Rule::identity() * static_cast<Accumulator>(factor)));
    return;
  }
  Extents const strides = packed_strides(first.local_extents());
  FoldLoops const loops = fold_loops(wanted.extents, strides, Dimensions::reduced);
  std::int64_t begin = 0;
  for (int d = 0; d < strides.size(); ++d) begin += (wanted.offsets[d] - first.block().offsets[d]) * strides[d];
  reduce_elements<Space, typename StoredType<Ready>::type, Operation>(first.memory(), loops, kernel_of(ready), begin,
                                                                      factor, result);
}

}  // namespace gshard::detail
