// SPDX-License-Identifier: Apache-2.0
// A rotary embedding whose positions are the dimension that it rotates.
// expect-error: gshard: rotary_embedding rotates the entries of the last dimension, which cannot be that of the positions too; name another dimension
#include <gshard/nn/rotary_embedding.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"model">>;
using Rows = ShardedTensor<Grid, Spec<"data", _>>;

#ifdef GSHARD_EXPECT_ERROR
Rows rotate(Rows const& rows) { return nn::rotary_embedding<-1>(rows); }
#else
Rows rotate(Rows const& rows) { return nn::rotary_embedding<-2>(rows); }
#endif
