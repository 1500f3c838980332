// SPDX-License-Identifier: Apache-2.0
// Nothing between two commas.
// expect-error: an entry of a spec lists names of mesh axes, separated by single commas
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
ShardedTensor<Grid, Spec<"data,,expert">> const x;
#else
ShardedTensor<Grid, Spec<"data, expert">> const x;
#endif
