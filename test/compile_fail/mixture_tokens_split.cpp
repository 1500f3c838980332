// SPDX-License-Identifier: Apache-2.0
// Tokens that are split otherwise than the layer says.
// expect-error: a mixture of experts takes tokens \(G, S, M\) of its element type and a mask \(G, S\) of int
#include <gshard/nn/moe/layer.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Layer = nn::MixtureOfExperts<Grid, ByExpert>;
template <AxisNames Groups>
using Mask = ShardedTensor<Grid, Spec<Groups, _>, int>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t outputs(Layer& layer, T<"data", _, _> const& x, Mask<"data"> const& mask) {
  return layer.infer(x, mask).size();
}
#else
std::int64_t outputs(Layer& layer, T<"data,expert", _, _> const& x, Mask<"data,expert"> const& mask) {
  return layer.infer(x, mask).size();
}
#endif
