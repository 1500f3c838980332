// SPDX-License-Identifier: Apache-2.0
// Two tensors whose types fix different extents.
// expect-error: the types of two tensors fix different extents for one dimension
// expect-error: TensorExtentsContradict<1, 512, 256>
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto sum_of(T<"data", extent(512)> const& x, T<"data", extent(256)> const& y) { return eval(x + y); }
#else
auto sum_of(T<"data", extent(512)> const& x, T<"data", extent(512)> const& y) { return eval(x + y); }
#endif
