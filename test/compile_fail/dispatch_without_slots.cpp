// SPDX-License-Identifier: Apache-2.0
// Slots of a gate without a capacity.
// expect-error: a gate that never drops has no slots to send tokens to
#include <gshard/nn/moe/dispatch.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
using Tokens = T<"data", _, _>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t slots(Tokens const& x, nn::Routing<Tokens, nn::Dropless<>> const& routing) {
  return nn::dispatch(x, routing).size();
}
#else
std::int64_t slots(Tokens const& x, nn::Routing<Tokens> const& routing) { return nn::dispatch(x, routing).size(); }
#endif
