// SPDX-License-Identifier: Apache-2.0
// The local block of an einsum that has not run.
// expect-error: an operation that has not run yet is used as a tensor; write eval
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(T<"data", _> const& x, T<_, _> const& w) { return einsum<"ab,bc->ac">(x, w).local(); }
#else
auto rows(T<"data", _> const& x, T<_, _> const& w) {
  auto const y = eval(einsum<"ab,bc->ac">(x, w));
  return y.local().extent(0);
}
#endif
