// SPDX-License-Identifier: Apache-2.0
// No arrow.
// expect-error: einsum subscripts are letters a-z, A-Z for each dimension
// expect-error: SubscriptsMalformed<gshard::error::Name<.a., .b., .,., .b., .c., .,., .a., .c.> >|SubscriptsMalformed<gshard::error::Name<.a., .b., .,., .b., .c., .,., .a., .c.>>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc,ac">(a, b).eval(); }
#else
auto product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc->ac">(a, b).eval(); }
#endif
