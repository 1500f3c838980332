// SPDX-License-Identifier: Apache-2.0
// A quotient of integers is rounded: the quotients of the parts do not add up to that of the sum.
// expect-error: the operand is an unreduced sum .partial in its spec.
// expect-error: reduce it first, by reshard to a spec without partial
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using Counts = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto halved(Counts<_, partial("data")> const& counts) { return eval(counts / 2); }
#else
auto halved(Counts<_, partial("data")> const& counts) { return eval(reshard<Spec<_>>(counts) / 2); }
#endif
