// SPDX-License-Identifier: Apache-2.0
// The weights of a sum are not the sum of the parts' weights.
// expect-error: the operand is an unreduced sum .partial in its spec.
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_, _, partial("data")> weights(T<_, _, partial("data")> const& x) { return softmax<1>(x); }
#else
T<_, _> weights(T<_, _, partial("data")> const& x) { return softmax<1>(reshard<Spec<_, _>>(x)); }
#endif
