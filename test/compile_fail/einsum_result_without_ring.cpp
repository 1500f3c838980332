// SPDX-License-Identifier: Apache-2.0
// A ring for a result that every rank is to hold whole: its sum is not scattered, so no block of it can go round.
// expect-error: is no result whose sum is scattered to one dimension
// expect-error: EinsumWithoutRing<.*, 2>
// expect-error: leave a result without a mark
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"model">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_, _> product(T<_, "model"> const& x, T<"model", _> const& w) { return in_ring(einsum<"ab,bc->ac">(x, w)); }
#else
T<"model", _> product(T<_, "model"> const& x, T<"model", _> const& w) { return in_ring(einsum<"ab,bc->ac">(x, w)); }
#endif
