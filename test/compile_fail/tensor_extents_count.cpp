// SPDX-License-Identifier: Apache-2.0
// Two extents for three dimensions.
// expect-error: the number of extents is not the number of dimensions of the spec
// expect-error: TensorExtentsCount<2, 3>
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
auto make(Grid const& grid) { return ShardedTensor<Grid, Spec<"data", _, _>>(grid, {4, 8}); }
#else
auto make(Grid const& grid) { return ShardedTensor<Grid, Spec<"data", _, _>>(grid, {4, 8, 2}); }
#endif
