// SPDX-License-Identifier: Apache-2.0
// One target for each group in place of one for each row of logits.
// expect-error: gshard: cross_entropy takes logits \(\.\.\., V\) and targets \(\.\.\.\) of int
#include <gshard/nn/cross_entropy.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Targets = ShardedTensor<Grid, Spec<"data">, int>;
#else
using Targets = ShardedTensor<Grid, Spec<"data", _>, int>;
#endif

auto loss(ShardedTensor<Grid, Spec<"data", _, "model">> const& logits, Targets const& targets) {
  return nn::cross_entropy(logits, targets, 1);
}
