// SPDX-License-Identifier: Apache-2.0
// A bias that is split otherwise than the rows it is added to.
// expect-error: the bias \(E, N\) of experts is held as their rows \(E, G, C, N\) are
#include <gshard/nn/moe/experts.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t biased(T<"expert", "data", _, _> const& rows, T<_, _> const& bias) {
  return nn::BySlots{}.plus(rows, bias).size();
}
#else
std::int64_t biased(T<"expert", "data", _, _> const& rows, T<"expert", _> const& bias) {
  return nn::BySlots{}.plus(rows, bias).size();
}
#endif
