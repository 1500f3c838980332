// SPDX-License-Identifier: Apache-2.0
// Weights that are split over the axis of the data: they would have to be gathered, and nothing says so.
// expect-error: operands do not move unseen
// expect-error: EinsumOperandMustMove<.*, 1, gshard::error::Letter<.a.>, gshard::error::Name<.d., .a., .t., .a.>
// expect-error: or allow it by movable
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data", _> product(T<"data", _> const& x, T<_, "data"> const& w) { return einsum<"ab,bc->ac">(x, w); }
#else
T<"data", _> product(T<"data", _> const& x, T<_, "data"> const& w) { return einsum<"ab,bc->ac">(x, movable(w)); }
#endif
