// SPDX-License-Identifier: Apache-2.0
// A sum that is still spread over the axis that splits the other operand.
// expect-error: an einsum operand .0 is the first. is an unreduced sum over the named axis
// expect-error: EinsumOperandMustReduce<.*, 0, gshard::error::Name<.d., .a., .t., .a.>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_, "data"> product(T<_, _, partial("data")> const& a, T<_, "data"> const& b) { return einsum<"ab,bc->ac">(a, b); }
#else
T<_, "data"> product(T<_, _, partial("data")> const& a, T<_, "data"> const& b) {
  return einsum<"ab,bc->ac">(reshard<Spec<_, _>>(a), b);
}
#endif
