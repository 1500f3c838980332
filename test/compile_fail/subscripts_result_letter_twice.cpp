// SPDX-License-Identifier: Apache-2.0
// A result letter twice.
// expect-error: a letter stands twice in the einsum result
// expect-error: ResultLetterTwice<gshard::error::Letter<.a.>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc->aca">(a, b).eval(); }
#else
auto product(T<"data", _> const& a, T<_, _> const& b) { return einsum<"ab,bc->ca">(a, b).eval(); }
#endif
