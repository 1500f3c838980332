// SPDX-License-Identifier: Apache-2.0
// The largest part need not belong to the largest sum.
// expect-error: the order of an unreduced sum is not that of its parts
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames... Entries>
using Places = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto sorted(T<_, _, partial("data")> const& x) { return sort<1>(x); }
#else
auto sorted(T<_, _> const& x) { return sort<1>(x); }
#endif
