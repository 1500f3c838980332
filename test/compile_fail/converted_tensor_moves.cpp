// SPDX-License-Identifier: Apache-2.0
// A tensor assigned to one of another spec.
// expect-error: a tensor of one spec is given where another spec is declared
// expect-error: ConvertedTensorMoves<
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<_, "data"> columns(T<"data", _> const& h) {
  T<_, "data"> x = h;
  return x;
}
#else
T<_, "data"> columns(T<"data", _> const& h) {
  T<_, "data"> x = reshard<Spec<_, "data">>(h);
  return x;
}
#endif
