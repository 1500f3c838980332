// SPDX-License-Identifier: Apache-2.0
// A bias (M) added to activations (S, M).
// expect-error: the operands of a pointwise expression have different numbers of dimensions
// expect-error: PointwiseRanksDiffer<2, 1
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto biased(T<"data", _> const& x, T<_> const& bias, T<"data"> const&) { return eval(x + bias); }
#else
auto biased(T<"data", _> const& x, T<_> const& bias, T<"data"> const& ones) {
  return eval(x + einsum<"a,b->ab">(ones, bias));
}
#endif
