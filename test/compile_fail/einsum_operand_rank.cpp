// SPDX-License-Identifier: Apache-2.0
// Three letters for a matrix.
// expect-error: an einsum operand has another number of dimensions than letters
// expect-error: EinsumOperandRank<.*, 1, 3, 2>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bcd->acd">(a, b).eval(); }
#else
auto product(T<"data", _> const& a, T<_, _, _> const& b) { return einsum<"ab,bcd->acd">(a, b).eval(); }
#endif
