// SPDX-License-Identifier: Apache-2.0
// A ring for an operand that an all-to-all brings where it is needed: there are no windows to wait for.
// expect-error: is marked in_ring, but is not to be gathered along one dimension
// expect-error: EinsumWithoutRing<.*, 0>
// expect-error: mark an operand gathered or movable
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_, "data"> product(T<"data", _> const& x, T<"data", _> const& w) { return einsum<"ab,bc->ac">(in_ring(x), w); }
#else
T<_, "data"> product(T<"data", _> const& x, T<"data", _> const& w) { return einsum<"ab,bc->ac">(gathered(x), w); }
#endif
