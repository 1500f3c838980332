// SPDX-License-Identifier: Apache-2.0
// A product has to run before it is sorted.
// expect-error: an operation that has not run yet is used as a tensor; write eval
#include <gshard/expr.hpp>
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"sorted">>;
using Rows = ShardedTensor<Grid, Spec<"sorted", _>>;

#ifdef GSHARD_EXPECT_ERROR
auto squares(Rows const& x) { return sort<1>(x * x); }
#else
auto squares(Rows const& x) { return sort<1>(eval(x * x)); }
#endif
