// SPDX-License-Identifier: Apache-2.0
// A declared result of another rank than its letters.
// expect-error: the declared einsum result has another number of dimensions than the letters behind the arrow
// expect-error: EinsumResultRank<.*, 2, 3>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data", _, _> product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc->ac">(a, b); }
#else
T<"data", _> product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc->ac">(a, b); }
#endif
