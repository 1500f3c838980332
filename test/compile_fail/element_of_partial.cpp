// SPDX-License-Identifier: Apache-2.0
// Each rank holds a part of an element, and no rank the element.
// expect-error: no rank holds an element of an unreduced sum
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
float corner(T<_, partial("data")> const& x) { return x.at(0); }
#else
float corner(T<"data"> const& x) { return x.at(0); }
#endif
