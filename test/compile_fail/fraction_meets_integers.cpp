// SPDX-License-Identifier: Apache-2.0
// Half of a tensor of integers.
// expect-error: a floating-point number meets a tensor of integers
// expect-error: FractionMeetsIntegers<int, double
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Counts = ShardedTensor<Grid, Spec<"data">, int>;

#ifdef GSHARD_EXPECT_ERROR
auto halves(Counts const& counts) { return eval(counts * 0.5); }
#else
auto halves(Counts const& counts) { return eval(cast<float>(counts) * 0.5); }
#endif
