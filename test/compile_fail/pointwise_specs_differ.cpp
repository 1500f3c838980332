// SPDX-License-Identifier: Apache-2.0
// The sum of two tensors that are held in different ways.
// expect-error: the operands of a pointwise expression have different meshes, specs or memory spaces
// expect-error: by reshard<Spec<...>>
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto total(T<"data", _> const& a, T<_, "data"> const& b) { return eval(a + b); }
#else
auto total(T<"data", _> const& a, T<_, "data"> const& b) { return eval(a + reshard<Spec<"data", _>>(b)); }
#endif
