// SPDX-License-Identifier: Apache-2.0
// expect-error: gshard: the rows of an embedding table are whole; write embedding\(movable\(table\), ids\), and split rows are gathered
#include <gshard/nn/embedding.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;
using Table = ShardedTensor<Grid, Spec<_, "data">>;

auto rows(Table const& table, ShardedTensor<Grid, Spec<"data", _>, int> const& ids) {
#ifdef GSHARD_EXPECT_ERROR
  return nn::embedding(table, ids);
#else
  return nn::embedding(movable(table), ids);
#endif
}
