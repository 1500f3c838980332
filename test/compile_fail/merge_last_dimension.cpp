// SPDX-License-Identifier: Apache-2.0
// Nothing follows the last dimension, which could be merged with it.
// expect-error: the operation names a dimension that the tensor does not have
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto merged(T<"data", _, _> const& x) { return merge_dimensions<-1>(x); }
#else
auto merged(T<"data", _, _> const& x) { return merge_dimensions<-2>(x); }
#endif
