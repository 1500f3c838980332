// SPDX-License-Identifier: Apache-2.0
// The last dimension of a matrix is dimension 1.
// expect-error: a reduction names a dimension twice
// expect-error: DimensionNamedTwice<1, 2>
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<> all(T<"data", _> const& x) { return mean<1, -1>(x); }
#else
T<> all(T<"data", _> const& x) { return mean<0, -1>(x); }
#endif
