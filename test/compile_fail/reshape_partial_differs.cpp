// SPDX-License-Identifier: Apache-2.0
// A reshape does not add up.
// expect-error: a reshape keeps the axes over which a tensor is an unreduced sum
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames... Entries>
using Places = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto line(T<_, _, partial("data")> const& x) { return reshape<Spec<"data">>(x, x.extents()); }
#else
auto line(T<_, _, partial("data")> const& x) { return reshape<Spec<"expert", partial("data")>>(x, {x.size()}); }
#endif
