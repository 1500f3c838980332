// SPDX-License-Identifier: Apache-2.0
// Shared experts of recorded tokens, added to a plain tensor.
// expect-error: shared experts add what they make of x to a tensor of the type of x
#include <gshard/nn/moe/shared_experts.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Tokens = T<"data,expert", _, _>;
using Shared = nn::SharedExperts<Grid, ByExpert, nn::ReluExperts>;

#ifdef GSHARD_EXPECT_ERROR
Tokens outputs(Shared& shared, Tokens const& routed, Var<Tokens> const& x) { return shared.added_to(routed, x); }
#else
Var<Tokens> outputs(Shared& shared, Var<Tokens> const& routed, Var<Tokens> const& x) {
  return shared.added_to(routed, x);
}
#endif
