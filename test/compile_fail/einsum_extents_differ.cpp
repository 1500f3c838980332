// SPDX-License-Identifier: Apache-2.0
// A contracted letter of 4 and of 5.
// expect-error: the types of two tensors of an einsum fix different extents for one letter
// expect-error: EinsumExtentsDiffer<.*, gshard::error::Letter<.b.>, 4, 5>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", extent(4)> const& a, T<extent(5), _> const& b) { return einsum<"ab,bc->ac">(a, b).eval(); }
#else
auto product(T<"data", extent(4)> const& a, T<extent(4), _> const& b) { return einsum<"ab,bc->ac">(a, b).eval(); }
#endif
