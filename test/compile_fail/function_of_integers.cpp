// SPDX-License-Identifier: Apache-2.0
// exp(1) is no integer.
// expect-error: gshard: a function whose values are fractions, such as exp, takes floating point
// expect-error: FunctionOfIntegers
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Counts = ShardedTensor<Grid, Spec<"data">, int>;

#ifdef GSHARD_EXPECT_ERROR
auto powers(Counts const& x) { return eval(exp(x * 2)); }
#else
auto powers(Counts const& x) { return eval(exp(cast<float>(x) * 2)); }
#endif
