// SPDX-License-Identifier: Apache-2.0
// Gates of a share of the groups, and the mask of all of them.
// expect-error: a gate looks up which tokens of its own groups are real; reshard the mask
#include <gshard/nn/moe/gate.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Gates = ShardedTensor<Grid, Spec<"data", _, _>, float>;
template <AxisNames Groups>
using Real = ShardedTensor<Grid, Spec<Groups, _>, int>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t capacity(Gates const& gates, Real<_> const& real) {
  return nn::Routing<Gates>(gates, real, {}, {}).capacity;
}
#else
std::int64_t capacity(Gates const& gates, Real<"data"> const& real) {
  return nn::Routing<Gates>(gates, real, {}, {}).capacity;
}
#endif
