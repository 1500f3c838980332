// SPDX-License-Identifier: Apache-2.0
// A bias (M) that is split along another axis than the columns of the activations (S, M).
// expect-error: a tensor that is broadcast in a pointwise expression is neither whole nor split as the result
// expect-error: BroadcastOperandSplitOtherwise<
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"model">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto biased(T<"data", _> const& x, T<"model"> const& bias) { return eval(x + bias); }
#else
auto biased(T<"data", _> const& x, T<"model"> const& bias) { return eval(x + reshard<Spec<_>>(bias)); }
#endif
