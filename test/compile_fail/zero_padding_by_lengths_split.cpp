// SPDX-License-Identifier: Apache-2.0
// Lengths of other sentences than those that a rank holds.
// expect-error: gshard: the lengths of sentences are \(G, N\) of int
#include <gshard/nn/zero_padding.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Lengths = ShardedTensor<Grid, Spec<_, "data">, int>;
#else
using Lengths = ShardedTensor<Grid, Spec<"data", _>, int>;
#endif

auto words(ShardedTensor<Grid, Spec<"data", _, _>> const& x, Lengths const& lengths) {
  return nn::zero_padding_by_lengths(x, lengths);
}
