// SPDX-License-Identifier: Apache-2.0
// A replicated bias added to an unreduced sum: each rank would add it (B4).
// expect-error: one is whole and would be added once by each rank
// expect-error: reduce the sums first
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"model">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto biased(T<_, partial("model")> const& sums, T<_> const& bias) { return eval(sums + bias); }
#else
auto biased(T<_, partial("model")> const& sums, T<_> const& bias) {
  return eval(sums + reshard<Spec<_, partial("model")>>(bias));
}
#endif
