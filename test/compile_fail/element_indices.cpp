// SPDX-License-Identifier: Apache-2.0
// An element has an index in each dimension.
// expect-error: at and holds take one global index for each dimension
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
float corner(T<"data", _> const& x) { return x.at(0); }
#else
float corner(T<"data", _> const& x) { return x.at(0, 0); }
#endif
