// SPDX-License-Identifier: Apache-2.0
// A matrix has no space.
// expect-error: pooling takes x .N, space..., C. with one, two or three spatial dimensions
#include <gshard/spatial.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"row">, Axis<"column">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto pooled(T<_, "row"> const& x) { return max_pool(x, {.window = {2}}); }
#else
auto pooled(T<_, "row", _> const& x) { return max_pool(x, {.window = {2}}); }
#endif
