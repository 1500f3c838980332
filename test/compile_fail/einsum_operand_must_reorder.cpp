// SPDX-License-Identifier: Apache-2.0
// The contracted letter is split over the axes in one order here, in the other order there.
// expect-error: list the axes of one letter in different orders
// expect-error: EinsumOperandMustReorder<.*, 1, gshard::error::Name<
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_, _> product(T<_, "data,expert"> const& a, T<"expert,data", _> const& b) { return einsum<"ab,bc->ac">(a, b); }
#else
T<_, _> product(T<_, "data,expert"> const& a, T<"data,expert", _> const& b) { return einsum<"ab,bc->ac">(a, b); }
#endif
