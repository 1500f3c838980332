// SPDX-License-Identifier: Apache-2.0
// Integers cannot be brought to unit variance.
// expect-error: gshard: a layer is of floating point
// expect-error: LayerOfIntegers
#include <gshard/nn/rms_norm.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <class T>
using Tokens = ShardedTensor<Grid, Spec<"data", _>, T>;
template <class T>
using Gain = ShardedTensor<Grid, Spec<_>, T>;

#ifdef GSHARD_EXPECT_ERROR
auto normed(Tokens<int> const& x, Gain<int> const& gain) { return nn::rms_norm(x, gain); }
#else
auto normed(Tokens<float> const& x, Gain<float> const& gain) { return nn::rms_norm(x, gain); }
#endif
