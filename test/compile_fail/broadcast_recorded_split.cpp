// SPDX-License-Identifier: Apache-2.0
// A recorded factor for each row, split along the axis that splits the columns.
// expect-error: a tensor that is broadcast in a pointwise expression is neither whole nor split as the result
// expect-error: BroadcastOperandSplitOtherwise<
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"rows">, Axis<"columns">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto scaled(Var<T<"rows", "columns">> const& x, Var<T<"columns", extent(1)>> const& factors) { return x * factors; }
#else
auto scaled(Var<T<"rows", "columns">> const& x, Var<T<"rows", extent(1)>> const& factors) { return x * factors; }
#endif
