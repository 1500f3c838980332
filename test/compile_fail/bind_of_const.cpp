// SPDX-License-Identifier: Apache-2.0
// A layer binds its weights in a const call operator.
// expect-error: bind and watch keep the gradient in the parameter, which is const here
// expect-error: GradientOfConstParameter
#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
#ifdef GSHARD_EXPECT_ERROR
#define MAYBE_CONST const
#else
#define MAYBE_CONST
#endif
struct Linear {
  Parameter<ShardedTensor<Grid, Spec<_, _>>> weights;
  template <class X>
  auto operator()(X const& x) MAYBE_CONST {
    return eval(einsum<"ab,bc->ac">(x, bind(weights, x)));
  }
};

auto apply(Linear MAYBE_CONST& linear, Var<ShardedTensor<Grid, Spec<"data", _>>> const& x) { return linear(x); }
