// SPDX-License-Identifier: Apache-2.0
// No rank has a whole row.
// expect-error: sorting works along a dimension that no axis splits
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames... Entries>
using Places = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto largest(T<_, "data"> const& x) { return top_k<1>(x, 2); }
#else
auto largest(T<"data", _> const& x) { return top_k<1>(x, 2); }
#endif
