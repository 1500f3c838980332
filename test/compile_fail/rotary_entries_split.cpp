// SPDX-License-Identifier: Apache-2.0
// A rotary embedding of heads whose entries are split: a rank would not hold both entries of a pair.
// expect-error: gshard: rotary_embedding works on a whole last dimension; reshard x so that it is `_`
#include <gshard/nn/rotary_embedding.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Queries = ShardedTensor<Grid, Spec<"data", _, _, "model">>;
#else
using Queries = ShardedTensor<Grid, Spec<"data", _, "model", _>>;
#endif

Queries rotate(Queries const& queries) { return nn::rotary_embedding(queries); }
