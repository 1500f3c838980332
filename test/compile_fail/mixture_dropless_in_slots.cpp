// SPDX-License-Identifier: Apache-2.0
// Slots for a gate without a capacity.
// expect-error: a gate that never drops has no slots to send tokens to
#include <gshard/nn.hpp>

using namespace gshard;
using Line = Mesh<Axis<"expert">>;

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "expert", experts = "expert";
};
using Layer = nn::MixtureOfExperts<Line, ByExpert, nn::Dropless<nn::Top2Gate>>;
using Tokens = ShardedTensor<Line, Spec<"expert", _, _>>;
using Real = ShardedTensor<Line, Spec<"expert", _>, int>;

#ifdef GSHARD_EXPECT_ERROR
Tokens run(Layer& layer, Tokens const& x, Real const& real) {
  return layer.operator()<nn::DispatchForm::by_index>(x, real, {}).output;
}
#else
Tokens run(Layer& layer, Tokens const& x, Real const& real) { return layer(x, real, {}).output; }
#endif
