// SPDX-License-Identifier: Apache-2.0
// An operation of one's own without a vjp, of a recorded tensor.
// expect-error: an operation of a recorded tensor has no vjp
// expect-error: OperationWithoutVjp<.*Identity
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Vector = ShardedTensor<Grid, Spec<"data">>;

struct Identity {
  auto forward(AnyTensor auto const& x) const { return x; }
};

#ifdef GSHARD_EXPECT_ERROR
auto identity(Var<Vector> const& x) { return Differentiable<Identity>{}(x); }
#else
auto identity(Var<Vector> const& x) { return Differentiable<Identity>{}(x.value()); }
#endif
