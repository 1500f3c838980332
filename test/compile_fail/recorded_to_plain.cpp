// SPDX-License-Identifier: Apache-2.0
// A recorded einsum assigned to a plain tensor.
// expect-error: a recorded tensor is used as a plain one, which has no history
#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data", _> product(Var<T<"data", _>> const& x, T<_, _> const& w) {
  T<"data", _> y = einsum<"ab,bc->ac">(x, w);
  return y;
}
#else
Var<T<"data", _>> product(Var<T<"data", _>> const& x, T<_, _> const& w) {
  Var<T<"data", _>> y = einsum<"ab,bc->ac">(x, w);
  return y;
}
#endif
