// SPDX-License-Identifier: Apache-2.0
// A matrix has dimensions 0 and 1, or -2 and -1.
// expect-error: the operation names a dimension that the tensor does not have
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto part(T<"data", _> const& x) { return split<6, "expert">(x); }
#else
auto part(T<"data", _> const& x) { return split<-1, "expert">(x); }
#endif
