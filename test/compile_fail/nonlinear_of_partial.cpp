// SPDX-License-Identifier: Apache-2.0
// B2: a function of the parts of a sum is not the function of the sum.
// expect-error: the operand is an unreduced sum .partial in its spec.
// expect-error: reduce it first, by reshard to a spec without partial
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto activated(T<_, partial("data")> const& x) { return eval(relu(x)); }
#else
auto activated(T<_, partial("data")> const& x) { return eval(2 * x); }
#endif
