// SPDX-License-Identifier: Apache-2.0
// Heads whose numbers are split.
// expect-error: dot_product_attention works on whole heads and all sequences of a group
#include <gshard/nn/dot_product_attention.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"sequence">, Axis<"model">>;
template <class T, AxisNames... Entries>
using Of = ShardedTensor<Grid, Spec<Entries...>, T>;

#ifdef GSHARD_EXPECT_ERROR
using Queries = Of<float, "data", _, "sequence", _, "model">;
using Keys = Of<float, "data", _, "sequence", _, "model">;
using Lengths = Of<int, "data", _>;
#else
using Queries = Of<float, "data", _, "sequence", "model", _>;
using Keys = Of<float, "data", _, "sequence", "model", _>;
using Lengths = Of<int, "data", _>;
#endif

Queries attend(Queries const& queries, Keys const& keys, Lengths const& lengths) {
  return nn::dot_product_attention(queries, keys, keys, lengths);
}
