// SPDX-License-Identifier: Apache-2.0
// A pointwise expression that contains an einsum, used by its name; one of tensors alone is part of the kernel that
// reads it.
// expect-error: an operation that has not run yet is used by its name, and would run and communicate at each use
// expect-error: OperationUsedByName<
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"expression">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto squared(T<"expression", _> const& x, T<_, _> const& w) {
  auto y = relu(einsum<"ab,bc->ac">(x, w)) + 1;
  return eval(y * y);
}
#else
auto squared(T<"expression", _> const& x, T<_, _> const& w) {
  auto y = relu(x) + 1;
  return eval(einsum<"ab,bc->ac">(eval(y * y), w));
}
#endif
