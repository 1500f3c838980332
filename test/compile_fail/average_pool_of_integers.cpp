// SPDX-License-Identifier: Apache-2.0
// The average of 1 and 2 is no integer; the larger of the two is one.
// expect-error: gshard: average_pool is of floating point, since averages of integers are fractions
// expect-error: AveragePoolOfIntegers
#include <gshard/spatial.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"row">>;
using Counts = ShardedTensor<Grid, Spec<_, "row", _>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto pooled(Counts const& x) { return average_pool(x, {.window = {2}}); }
#else
auto pooled(Counts const& x) { return max_pool(x, {.window = {2}}); }
#endif
