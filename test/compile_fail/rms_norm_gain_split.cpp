// SPDX-License-Identifier: Apache-2.0
// A gain of which each rank holds some numbers.
// expect-error: gshard: the gain of rms_norm is a vector \(M\) of the elements of x, whole on every rank
#include <gshard/nn/rms_norm.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Gain = ShardedTensor<Grid, Spec<"model">>;
#else
using Gain = ShardedTensor<Grid, Spec<_>>;
#endif

auto normalise(ShardedTensor<Grid, Spec<"data", _>> const& x, Gain const& gain) { return nn::rms_norm(x, gain); }
