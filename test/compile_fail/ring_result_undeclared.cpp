// SPDX-License-Identifier: Apache-2.0
// A ring for the result of an einsum whose spec is not declared: nothing says where the sums end.
// expect-error: an einsum whose result is marked in_ring is reduce-scattered to a declared spec
// expect-error: RingResultUndeclared<
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<_, "data"> const& x, T<"data", _> const& w) { return eval(in_ring(einsum<"ab,bc->ac">(x, w))); }
#else
auto product(T<_, "data"> const& x, T<"data", _> const& w) {
  return shard<Spec<"data", _>>(in_ring(einsum<"ab,bc->ac">(x, w)));
}
#endif
