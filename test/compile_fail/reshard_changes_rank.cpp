// SPDX-License-Identifier: Apache-2.0
// A new spec with another number of dimensions.
// expect-error: the new spec has another number of dimensions than the tensor
// expect-error: ReshardChangesRank<2, 3>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto held(T<"data", _> const& x) { return reshard<Spec<_, _, "expert">>(x); }
#else
auto held(T<"data", _> const& x) { return reshard<Spec<_, "expert">>(x); }
#endif
