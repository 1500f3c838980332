// SPDX-License-Identifier: Apache-2.0
// The dimension of a sum as in NumPy.
// expect-error: the dimensions of a reduction are template arguments, as in sum<1>
// expect-error: DimensionIsAnArgument<int
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Matrix = ShardedTensor<Grid, Spec<"data", _>>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(Matrix const& x) { return sum(x, 1); }
#else
auto rows(Matrix const& x) { return eval(sum<1>(x)); }
#endif
