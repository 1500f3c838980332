// SPDX-License-Identifier: Apache-2.0
// B2: the norms of the parts do not add up to the norm of the sum.
// expect-error: the operand is an unreduced sum .partial in its spec.
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_> norms(T<_, _, partial("data")> const& x) { return norm<0>(x); }
#else
T<_> norms(T<_, _, partial("data")> const& x) { return norm<0>(replicate(x)); }
#endif
