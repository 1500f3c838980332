// SPDX-License-Identifier: Apache-2.0
// An einsum that is kept by auto and used twice: it would run and communicate at each use.
// expect-error: an operation that has not run yet is used by its name, and would run and communicate at each use
// expect-error: OperationUsedByName<
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"named">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto twice(T<"named", _> const& x, T<_, _> const& w) {
  auto y = einsum<"ab,bc->ac">(x, w);
  return eval(y + y * y);
}
#else
auto twice(T<"named", _> const& x, T<_, _> const& w) {
  auto y = eval(einsum<"ab,bc->ac">(x, w));
  return eval(y + y * y);
}
#endif
