// SPDX-License-Identifier: Apache-2.0
// A reduction that is kept by auto, converted to a declared tensor, and given to a layer function.
// expect-error: an operation that has not run yet is used by its name, and would run and communicate at each use
// expect-error: OperationUsedByName<
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"reduced">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto turned(T<"reduced", _> const& x) {
  auto sums = sum<1>(x);
  T<"reduced"> const kept = sums;
  return reverse<0>(kept);
}
#else
auto turned(T<"reduced", _> const& x) {
  auto sums = sum<1>(x);
  return reverse<0>(std::move(sums));
}
#endif
