// SPDX-License-Identifier: Apache-2.0
// Every rank needs the whole window.
// expect-error: the window of a convolution is whole on every rank
#include <gshard/spatial.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"row">, Axis<"column">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto convolved(T<_, "row", _> const& x, T<"column", _, _> const& w) { return convolution(x, w); }
#else
auto convolved(T<_, "row", _> const& x, T<_, _, "column"> const& w) { return convolution(x, w); }
#endif
