// SPDX-License-Identifier: Apache-2.0
// expect-error: gshard: cross_entropy is not linear in the logits; reduce the partial tensor first
#include <gshard/nn/cross_entropy.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Logits = ShardedTensor<Grid, Spec<"data", _, _, partial("model")>>;
#else
using Logits = ShardedTensor<Grid, Spec<"data", _, "model">>;
#endif

auto loss(Logits const& logits, ShardedTensor<Grid, Spec<"data", _>, int> const& targets) {
  return nn::cross_entropy(logits, targets, 1);
}
