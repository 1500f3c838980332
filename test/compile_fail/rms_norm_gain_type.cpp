// SPDX-License-Identifier: Apache-2.0
// A gain of doubles beside floats.
// expect-error: gshard: the gain of rms_norm is a vector \(M\) of the elements of x
#include <gshard/nn/rms_norm.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Gain = ShardedTensor<Grid, Spec<_>, double>;
#else
using Gain = ShardedTensor<Grid, Spec<_>>;
#endif

auto normalise(ShardedTensor<Grid, Spec<"data", _>> const& x, Gain const& gain) { return nn::rms_norm(x, gain); }
