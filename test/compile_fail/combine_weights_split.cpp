// SPDX-License-Identifier: Apache-2.0
// Weights of which an axis splits the choices.
// expect-error: a tensor that meets gates or a routing has its groups G split over the axes named here
#include <gshard/nn/moe/dispatch.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
using Routing = nn::Routing<T<"data", _, _>>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t tokens(T<_, "data", _, _> const& slots, T<"data", _, "expert"> const& weights, Routing const& routing) {
  return nn::combine(slots, weights, routing).size();
}
#else
std::int64_t tokens(T<_, "data", _, _> const& slots, T<"data", _, _> const& weights, Routing const& routing) {
  return nn::combine(slots, weights, routing).size();
}
#endif
