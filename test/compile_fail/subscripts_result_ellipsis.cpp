// SPDX-License-Identifier: Apache-2.0
// `...` in the result alone.
// expect-error: the einsum result has \.\.\. but no operand has, so nothing says which dimensions it stands for
// expect-error: ResultEllipsisInNoOperand<gshard::error::Name<.a., .b., .-., .>., .\.., .\.., .\.., .b., .a.> ?>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto transpose(T<"data", _> const& a) { return einsum<"ab->...ba">(a).eval(); }
#else
auto transpose(T<"data", _> const& a) { return einsum<"...ab->...ba">(a).eval(); }
#endif
