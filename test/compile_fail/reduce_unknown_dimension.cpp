// SPDX-License-Identifier: Apache-2.0
// A matrix has no third dimension.
// expect-error: the operation names a dimension that the tensor does not have
// expect-error: NoSuchDimension<2, 2>
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data"> rows(T<"data", _> const& x) { return sum<2>(x); }
#else
T<"data"> rows(T<"data", _> const& x) { return sum<-1>(x); }
#endif
