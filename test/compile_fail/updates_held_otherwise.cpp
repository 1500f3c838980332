// SPDX-License-Identifier: Apache-2.0
// Each rank adds what it has, to what it has.
// expect-error: the updates of scatter_add are of the tensor.s elements and held as the tensor is
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames... Entries>
using Places = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
auto sum(T<_, "data"> const& x, Places<"expert"> const& places, T<_, _> const& updates) {
  return scatter_add<0>(x, places, updates);
}
#else
auto sum(T<_, "data"> const& x, Places<"expert"> const& places, T<"expert", "data"> const& updates) {
  return scatter_add<0>(x, places, updates);
}
#endif
