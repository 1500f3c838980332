// SPDX-License-Identifier: Apache-2.0
// A window has as many dimensions as space.
// expect-error: a convolution takes x .N, space..., I. and w .window..., I, O.
#include <gshard/spatial.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"row">, Axis<"column">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto convolved(T<_, "row", "column", _> const& x, T<_, _, _> const& w) { return convolution(x, w); }
#else
auto convolved(T<_, "row", "column", _> const& x, T<_, _, _, _> const& w) { return convolution(x, w); }
#endif
