// SPDX-License-Identifier: Apache-2.0
// Keys of all heads for a cache of some.
// expect-error: gshard: a cache \(G, R, K, H, D\) is used with rows \(G, N, H, D\) and a mask \(G, N\) of int
#include <gshard/nn/attention_cache.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Rows = ShardedTensor<Grid, Spec<"data", _, _, _>>;
#else
using Rows = ShardedTensor<Grid, Spec<"data", _, "model", _>>;
#endif

using Cache = nn::AttentionCache<ShardedTensor<Grid, Spec<"data", _, _, "model", _>>>;

void add(Cache const& cache, Rows const& keys, Rows const& values,
         ShardedTensor<Grid, Spec<"data", _>, int> const& real) {
  nn::remember(cache, 0, keys, values, real);
}
