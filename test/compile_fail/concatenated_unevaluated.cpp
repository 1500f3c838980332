// SPDX-License-Identifier: Apache-2.0
// An einsum has to run before it is joined with a tensor.
// expect-error: an operation that has not run yet is used as a tensor; write eval
#include <gshard/einsum.hpp>
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"joined">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto both(T<"joined", _> const& x, T<_, _> const& w) { return concatenate<1>(x, einsum<"ab,bc->ac">(x, w)); }
#else
auto both(T<"joined", _> const& x, T<_, _> const& w) { return concatenate<1>(x, eval(einsum<"ab,bc->ac">(x, w))); }
#endif
