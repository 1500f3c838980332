// SPDX-License-Identifier: Apache-2.0
// The element of a tensor that has many.
// expect-error: item reads a scalar
// expect-error: ItemOfMany<
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Vector = ShardedTensor<Grid, Spec<"data">>;

#ifdef GSHARD_EXPECT_ERROR
float first(Vector const& x) { return item(x); }
#else
float first(Vector const& x) { return item(shard<Spec<>>(sum<0>(x))); }
#endif
