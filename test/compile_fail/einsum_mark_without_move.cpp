// SPDX-License-Identifier: Apache-2.0
// A mark on an operand that nothing moves: its blocks meet the other operand's as they are.
// expect-error: is marked gathered or in_ring, but its spec meets the other operand.s as it is
// expect-error: EinsumOperandStays<.*, 1>
// expect-error: remove the mark
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data", _> product(T<"data", _> const& x, T<_, _> const& w) { return einsum<"ab,bc->ac">(x, gathered(w)); }
#else
T<"data", _> product(T<"data", _> const& x, T<"data", _> const& w) { return einsum<"ab,bc->ac">(x, gathered(w)); }
#endif
