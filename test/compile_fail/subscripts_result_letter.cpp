// SPDX-License-Identifier: Apache-2.0
// A result letter that no operand has.
// expect-error: a letter of the einsum result is in no operand
// expect-error: ResultLetterInNoOperand<gshard::error::Letter<.d.>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc->ad">(a, b).eval(); }
#else
auto product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc->ac">(a, b).eval(); }
#endif
