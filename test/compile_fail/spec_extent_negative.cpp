// SPDX-License-Identifier: Apache-2.0
// An extent below 0.
// expect-error: an extent that the type fixes is 0 or more
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(Grid const& grid) { return ShardedTensor<Grid, Spec<extent("data", -4)>>(grid, {4}); }
#else
auto rows(Grid const& grid) { return ShardedTensor<Grid, Spec<extent("data", 4)>>(grid, {4}); }
#endif
