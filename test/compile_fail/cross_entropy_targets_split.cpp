// SPDX-License-Identifier: Apache-2.0
// Targets that are split otherwise than the rows of the logits.
// expect-error: gshard: cross_entropy looks up the targets of its own rows; reshard the targets
#include <gshard/nn/cross_entropy.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"model">>;

#ifdef GSHARD_EXPECT_ERROR
using Targets = ShardedTensor<Grid, Spec<_, "data">, int>;
#else
using Targets = ShardedTensor<Grid, Spec<"data", _>, int>;
#endif

auto loss(ShardedTensor<Grid, Spec<"data", _, "model">> const& logits, Targets const& targets) {
  return nn::cross_entropy(logits, targets, 1);
}
