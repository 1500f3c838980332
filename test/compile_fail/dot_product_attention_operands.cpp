// SPDX-License-Identifier: Apache-2.0
// Keys of other elements than the queries.
// expect-error: dot_product_attention takes queries .G, N, L, H, D., keys and values
#include <gshard/nn/dot_product_attention.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"sequence">, Axis<"model">>;
template <class T, AxisNames... Entries>
using Of = ShardedTensor<Grid, Spec<Entries...>, T>;

#ifdef GSHARD_EXPECT_ERROR
using Queries = Of<float, "data", _, "sequence", "model", _>;
using Keys = Of<double, "data", _, "sequence", "model", _>;
using Lengths = Of<int, "data", _>;
#else
using Queries = Of<float, "data", _, "sequence", "model", _>;
using Keys = Of<float, "data", _, "sequence", "model", _>;
using Lengths = Of<int, "data", _>;
#endif

Queries attend(Queries const& queries, Keys const& keys, Lengths const& lengths) {
  return nn::dot_product_attention(queries, keys, keys, lengths);
}
