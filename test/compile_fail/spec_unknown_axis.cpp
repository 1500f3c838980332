// SPDX-License-Identifier: Apache-2.0
// An axis that the mesh does not have.
// expect-error: the spec names an axis that the mesh does not have
// expect-error: SpecNamesUnknownAxis<gshard::error::Name<.m., .o., .d., .e., .l.>
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
ShardedTensor<Grid, Spec<"model", _>> const x;
#else
ShardedTensor<Grid, Spec<"data", _>> const x;
#endif
