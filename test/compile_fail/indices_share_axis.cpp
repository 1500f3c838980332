// SPDX-License-Identifier: Apache-2.0
// A rank that has some columns has other indices than the rank with the other columns.
// expect-error: an axis that splits the indices also splits the tensor
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames... Entries>
using Places = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(T<_, "data"> const& x, Places<"data"> const& places) { return take<0>(x, places); }
#else
auto rows(T<_, "data"> const& x, Places<"expert"> const& places) { return take<0>(x, places); }
#endif
