// SPDX-License-Identifier: Apache-2.0
// An outer product, written as a column times a row: its placement stands nowhere.
// expect-error: each tensor of a pointwise expression is broadcast along some dimension
// expect-error: NoOperandHasAllDimensions<
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"model">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto outer(T<"data", extent(1)> const& column, T<"model"> const& row) { return eval(column * row); }
#else
auto outer(T<"data", extent(1)> const& column, T<"model"> const& row) { return eval(einsum<"ab,c->ac">(column, row)); }
#endif
