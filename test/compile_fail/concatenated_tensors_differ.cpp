// SPDX-License-Identifier: Apache-2.0
// Blocks of different specs do not follow one another.
// expect-error: the tensors of a concatenation have different meshes, specs or elements
#include <gshard/index.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto both(T<"data", _> const& a, T<_, "data"> const& b) { return concatenate<0>(a, b); }
#else
auto both(T<"data", _> const& a, T<_, "data"> const& b) { return concatenate<0>(a, reshard<Spec<"data", _>>(b)); }
#endif
