// SPDX-License-Identifier: Apache-2.0
// A function of one's own, of a recorded tensor.
// expect-error: a pointwise function of a recorded tensor has no derivative for that operand
// expect-error: FunctionWithoutDerivative<.*Cube, 0
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Row = ShardedTensor<Grid, Spec<"data">>;
struct Cube {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x * x * x;
  }
#ifndef GSHARD_EXPECT_ERROR
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return 3 * x * x;
  }
#endif
};

auto cubes(Var<Row> const& x) { return map(Cube{}, x); }
