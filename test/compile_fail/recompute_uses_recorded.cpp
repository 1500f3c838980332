// SPDX-License-Identifier: Apache-2.0
// A block that is to run again, and takes a recorded tensor from around it.
// expect-error: recompute runs its function on plain tensors, and it gave a recorded one
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
void scaled(Var<T<"data", _>> const& x, Var<T<"data", _>> const& y) {
  recompute([y](auto const& in) { return eval(square(in) * y); }, x);
}
#else
void scaled(Var<T<"data", _>> const& x, Var<T<"data", _>> const& y) {
  recompute([](auto const& in, auto const& factor) { return eval(square(in) * factor); }, x, y);
}
#endif
