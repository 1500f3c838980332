// SPDX-License-Identifier: Apache-2.0
// A norm of an unreduced sum: the norm of each part.
// expect-error: gshard: rms_norm is not linear in x; reduce x first
#include <gshard/nn/rms_norm.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using X = ShardedTensor<Grid, Spec<"data", _, partial("model")>>;
#else
using X = ShardedTensor<Grid, Spec<"data", _>>;
#endif

auto normalise(X const& x, ShardedTensor<Grid, Spec<_>> const& gain) { return nn::rms_norm(x, gain); }
