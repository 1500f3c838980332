// SPDX-License-Identifier: Apache-2.0
// The weights of a routing beside gates of other elements.
// expect-error: the gates beside a routing are those that it was made from, of the same element type
#include <gshard/nn/moe/gate.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <class Element>
using Gates = ShardedTensor<Grid, Spec<"data", _, _>, Element>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t weights(Gates<double> const& gates, nn::Routing<Gates<float>> const& routing) {
  return nn::route_weights(gates, routing).size();
}
#else
std::int64_t weights(Gates<float> const& gates, nn::Routing<Gates<float>> const& routing) {
  return nn::route_weights(gates, routing).size();
}
#endif
