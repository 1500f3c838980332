// SPDX-License-Identifier: Apache-2.0
// A new spec that fixes another extent than the tensor's.
// expect-error: the types of two tensors fix different extents for one dimension
// expect-error: TensorExtentsContradict<0, 64, 32>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto held(T<extent("data", 64), _> const& x) { return reshard<Spec<extent(32), "data">>(x); }
#else
auto held(T<extent("data", 64), _> const& x) { return reshard<Spec<extent(64), "data">>(x); }
#endif
