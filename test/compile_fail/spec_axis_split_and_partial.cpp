// SPDX-License-Identifier: Apache-2.0
// An axis that splits a dimension and is summed over as well.
// expect-error: a mesh axis can split one dimension, or be partial, but not both or twice
// expect-error: SpecUsesAxisTwice<gshard::error::Name<.e., .x., .p., .e., .r., .t.>
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
ShardedTensor<Grid, Spec<"data,expert", partial("expert")>> const x;
#else
ShardedTensor<Grid, Spec<"data", partial("expert")>> const x;
#endif
