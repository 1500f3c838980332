// SPDX-License-Identifier: Apache-2.0
// Places are whole numbers.
// expect-error: indices are a tensor of int or std::int64_t with one dimension
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames... Entries>
using Places = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(T<_, _> const& x, T<_> const& places) { return take<0>(x, places); }
#else
auto rows(T<_, _> const& x, Places<_> const& places) { return take<0>(x, places); }
#endif
