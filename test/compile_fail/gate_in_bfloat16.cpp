// SPDX-License-Identifier: Apache-2.0
// Gates with eight bits of precision, which has ties where there are none.
// expect-error: a gate computes in float or double
#include <gshard/nn/moe/gate.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <class T>
using Gates = ShardedTensor<Grid, Spec<"data", _, _>, T>;
using Real = ShardedTensor<Grid, Spec<"data", _>, int>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t capacity(Gates<BFloat16> const& gates, Real const& real) {
  return nn::Routing<Gates<BFloat16>>(gates, real, {}, {}).capacity;
}
#else
std::int64_t capacity(Gates<float> const& gates, Real const& real) {
  return nn::Routing<Gates<float>>(gates, real, {}, {}).capacity;
}
#endif
