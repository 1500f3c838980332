// SPDX-License-Identifier: Apache-2.0
// A mask that is an unreduced sum.
// expect-error: a tensor that meets gates or a routing has its groups G split over the axes named here
#include <gshard/nn/moe/gate.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames... Entries>
using Mask = ShardedTensor<Grid, Spec<Entries...>, int>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t capacity(T<"data", _, _> const& gates, Mask<"data", _, partial("expert")> const& mask) {
  return nn::Routing<T<"data", _, _>>(gates, mask, {}, {}).capacity;
}
#else
std::int64_t capacity(T<"data", _, _> const& gates, Mask<"data", _> const& mask) {
  return nn::Routing<T<"data", _, _>>(gates, mask, {}, {}).capacity;
}
#endif
