// SPDX-License-Identifier: Apache-2.0
// A layer norm of a sum that has not run.
// expect-error: an operation that has not run yet is used as a tensor; write eval
#include <gshard/nn.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto norm_of_sum(T<"data", _> const& x, T<_> const& gain) { return nn::layer_norm(x + x, gain, gain); }
#else
auto norm_of_sum(T<"data", _> const& x, T<_> const& gain) { return nn::layer_norm(eval(x + x), gain, gain); }
#endif
