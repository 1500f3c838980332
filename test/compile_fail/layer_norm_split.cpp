// SPDX-License-Identifier: Apache-2.0
// A layer norm of a tensor of which the dimension that it normalises is split.
// expect-error: layer_norm works on a whole last dimension
#include <gshard/nn/layer_norm.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data", "expert"> normalise(T<"data", "expert"> const& x, T<_> const& gain, T<_> const& bias) {
  return nn::layer_norm(x, gain, bias);
}
#else
T<"data", _> normalise(T<"data", _> const& x, T<_> const& gain, T<_> const& bias) {
  return nn::layer_norm(x, gain, bias);
}
#endif
