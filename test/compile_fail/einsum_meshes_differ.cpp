// SPDX-License-Identifier: Apache-2.0
// Operands on meshes of two types.
// expect-error: the tensors of an einsum live on meshes of different types
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
using Other = Mesh<Axis<"data">>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", _> const& a, ShardedTensor<Other, Spec<_, _>> const& b) {
  return einsum<"ab,bc->ac">(a, b).eval();
}
#else
auto product(T<"data", _> const& a, ShardedTensor<Grid, Spec<_, _>> const& b) {
  return einsum<"ab,bc->ac">(a, b).eval();
}
#endif
