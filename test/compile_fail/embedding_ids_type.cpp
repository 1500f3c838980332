// SPDX-License-Identifier: Apache-2.0
// Ids that are no numbers of type int.
// expect-error: gshard: embedding looks up ids of int that are no unreduced sum
#include <gshard/nn/embedding.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Ids = ShardedTensor<Grid, Spec<"data", _>, float>;
#else
using Ids = ShardedTensor<Grid, Spec<"data", _>, int>;
#endif

auto rows(ShardedTensor<Grid, Spec<_, _>> const& table, Ids const& ids) { return nn::embedding(table, ids); }
