// SPDX-License-Identifier: Apache-2.0
// expect-error: gshard: an axis splits the ids and the entries of their embedding table; let it split the rows of the table instead
#include <gshard/nn/embedding.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Table = ShardedTensor<Grid, Spec<"data", _>>;
#else
using Table = ShardedTensor<Grid, Spec<"model", "data">>;
#endif

auto rows(Table const& table, ShardedTensor<Grid, Spec<"data", _>, int> const& ids) {
  return nn::embedding(movable(table), ids);
}
