// SPDX-License-Identifier: Apache-2.0
// B1: a number added to every part is added as often as there are ranks.
// expect-error: the operand is an unreduced sum .partial in its spec.
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto shifted(T<_, partial("data")> const& x) { return eval(x + 10); }
#else
auto shifted(T<_, partial("data")> const& x) { return eval(replicate(x) + 10); }
#endif
