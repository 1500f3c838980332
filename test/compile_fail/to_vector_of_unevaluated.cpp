// SPDX-License-Identifier: Apache-2.0
// The elements of a sum that has not run.
// expect-error: an operation that has not run yet is used as a tensor; write eval
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Matrix = ShardedTensor<Grid, Spec<"data", _>>;

#ifdef GSHARD_EXPECT_ERROR
auto sums(Matrix const& x) { return to_vector(sum<0>(x)); }
#else
auto sums(Matrix const& x) { return to_vector(eval(sum<0>(x))); }
#endif
