// SPDX-License-Identifier: Apache-2.0
// A layer norm of an unreduced sum.
// expect-error: layer_norm is not linear in x
#include <gshard/nn/layer_norm.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data", _, partial("expert")> normalise(T<"data", _, partial("expert")> const& x, T<_> const& gain,
                                          T<_> const& bias) {
  return nn::layer_norm(x, gain, bias);
}
#else
T<"data", _> normalise(T<"data", _> const& x, T<_> const& gain, T<_> const& bias) {
  return nn::layer_norm(x, gain, bias);
}
#endif
