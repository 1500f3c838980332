// SPDX-License-Identifier: Apache-2.0
// Two operands in the text, one in the call.
// expect-error: einsum is called with another number of operands than its subscripts name
// expect-error: EinsumOperandCount<.*, 1, 2>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", _> const& a) { return einsum<"ab,bc->ac">(a).eval(); }
#else
auto product(T<"data", _> const& a) { return einsum<"ab->ba">(a).eval(); }
#endif
