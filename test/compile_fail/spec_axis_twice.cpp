// SPDX-License-Identifier: Apache-2.0
// One axis for two dimensions.
// expect-error: a mesh axis can split one dimension, or be partial, but not both or twice
// expect-error: SpecUsesAxisTwice<gshard::error::Name<.d., .a., .t., .a.>
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
ShardedTensor<Grid, Spec<"data", "data">> const x;
#else
ShardedTensor<Grid, Spec<"data", "expert">> const x;
#endif
