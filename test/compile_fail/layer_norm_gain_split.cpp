// SPDX-License-Identifier: Apache-2.0
// A gain of which each rank holds some numbers.
// expect-error: gshard: gain and bias of layer_norm are vectors \(M\) of the elements of x, whole on every rank
#include <gshard/nn/layer_norm.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Gain = ShardedTensor<Grid, Spec<"model">>;
#else
using Gain = ShardedTensor<Grid, Spec<_>>;
#endif

auto normalise(ShardedTensor<Grid, Spec<"data", _>> const& x, Gain const& gain,
               ShardedTensor<Grid, Spec<_>> const& bias) {
  return nn::layer_norm(x, gain, bias);
}
