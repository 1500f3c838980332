// SPDX-License-Identifier: Apache-2.0
// The largest part is not the largest sum.
// expect-error: the operand is an unreduced sum .partial in its spec.
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto largest(T<_, partial("data")> const& x) { return maximum(x); }
#else
auto total(T<_, partial("data")> const& x) { return sum(x); }
#endif
