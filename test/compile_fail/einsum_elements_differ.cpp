// SPDX-License-Identifier: Apache-2.0
// float times double.
// expect-error: the tensors of an einsum have different element types or memory spaces
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", _> const& a, ShardedTensor<Grid, Spec<_, _>, double> const& b) {
  return einsum<"ab,bc->ac">(a, b).eval();
}
#else
auto product(T<"data", _> const& a, ShardedTensor<Grid, Spec<_, _>, float> const& b) {
  return einsum<"ab,bc->ac">(a, b).eval();
}
#endif
