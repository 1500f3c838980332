// SPDX-License-Identifier: Apache-2.0
// A comma behind the last name of the axes of a partial sum.
// expect-error: an entry of a spec lists names of mesh axes, separated by single commas
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
ShardedTensor<Grid, Spec<_, partial("data,")>> const x;
#else
ShardedTensor<Grid, Spec<_, partial("data")>> const x;
#endif
