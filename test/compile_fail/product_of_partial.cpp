// SPDX-License-Identifier: Apache-2.0
// The products of the parts are not parts of the product of the sum.
// expect-error: the operand is an unreduced sum .partial in its spec.
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_, _> products(T<_, _, _, partial("data")> const& x) { return prod<0>(x); }
#else
T<_, _> products(T<_, _, _, partial("data")> const& x) { return prod<0>(replicate(x)); }
#endif
