// SPDX-License-Identifier: Apache-2.0
// A mask of the tokens of all ranks for those of one.
// expect-error: a mask of padding is a tensor of int on the mesh of the tokens, held as their first dimensions are
#include <gshard/nn/zero_padding.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
template <AxisNames Groups>
using Mask = ShardedTensor<Grid, Spec<Groups, _>, int>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t tokens(T<"data", _, _> const& x, Mask<_> const& mask) { return nn::zero_padding(x, mask).size(); }
#else
std::int64_t tokens(T<"data", _, _> const& x, Mask<"data"> const& mask) { return nn::zero_padding(x, mask).size(); }
#endif
