// SPDX-License-Identifier: Apache-2.0
// Scores of a share of the groups, and the lengths of all sentences.
// expect-error: attention looks up the words of its own sentences; reshard the key lengths
#include <gshard/nn/attention_weights.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Scores = ShardedTensor<Grid, Spec<"data", _, _, _, _>, float>;
template <AxisNames Groups>
using Lengths = ShardedTensor<Grid, Spec<Groups, _>, int>;

#ifdef GSHARD_EXPECT_ERROR
Scores weights(Scores const& scores, Lengths<_> const& lengths) {
  return nn::attention_weights(scores, lengths, 1, nn::Masking::none);
}
#else
Scores weights(Scores const& scores, Lengths<"data"> const& lengths) {
  return nn::attention_weights(scores, lengths, 1, nn::Masking::none);
}
#endif
