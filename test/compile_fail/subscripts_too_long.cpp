// SPDX-License-Identifier: Apache-2.0
// F8: a result of 9 dimensions.
// expect-error: an einsum operand or result has more than 8 letters, with those that \.\.\. stands for
// expect-error: SubscriptsTooLong<gshard::error::Name<.\.., .\.., .\.., .a., .,., .b., .c., .d., .e., .f., .-., .>., .\.., .\.., .\.., .a., .b., .c., .d., .e., .f.> ?>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto outer(T<"data", _, _, _> const& a, T<_, _, _, _, _> const& b) {
  return einsum<"...a,bcdef->...abcdef">(a, b).eval();
}
#else
auto outer(T<"data", _, _> const& a, T<_, _, _, _, _> const& b) { return einsum<"...a,bcdef->...abcdef">(a, b).eval(); }
#endif
