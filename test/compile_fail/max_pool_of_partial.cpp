// SPDX-License-Identifier: Apache-2.0
// The largest parts do not add up to the largest sum.
// expect-error: max_pool of an unreduced sum is not the sum of the maxima
#include <gshard/spatial.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"row">, Axis<"column">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto pooled(T<_, "row", _, partial("column")> const& x) { return max_pool(x, {.window = {2}}); }
#else
auto pooled(T<_, "row", _, partial("column")> const& x) { return average_pool(x, {.window = {2}}); }
#endif
