// SPDX-License-Identifier: Apache-2.0
// A sum has to run before it can move.
// expect-error: an operation that has not run yet is used as a tensor; write eval
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"shards">>;
using Rows = ShardedTensor<Grid, Spec<"shards", _>>;

#ifdef GSHARD_EXPECT_ERROR
auto whole(Rows const& x) { return shard<Spec<_, _>>(x + x); }
#else
auto whole(Rows const& x) { return shard<Spec<_, _>>(eval(x + x)); }
#endif
