// SPDX-License-Identifier: Apache-2.0
// A matrix has dimensions 0 and 1.
// expect-error: the operation names a dimension that the tensor does not have
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(T<"data", _> const& x, ShardedTensor<Grid, Spec<_>, int> const& i) { return take<3>(x, i); }
#else
auto rows(T<"data", _> const& x, ShardedTensor<Grid, Spec<_>, int> const& i) { return take<1>(x, i); }
#endif
