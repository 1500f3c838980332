// SPDX-License-Identifier: Apache-2.0
// A function of one operand, of two.
// expect-error: a pointwise function has no call operator that takes one number of each operand
// expect-error: FunctionDoesNotTakeOperands<.*Cube, 2
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Row = ShardedTensor<Grid, Spec<"data">>;
struct Cube {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x * x * x;
  }
};

#ifdef GSHARD_EXPECT_ERROR
auto cubes(Row const& a, Row const& b) { return eval(map(Cube{}, a, b)); }
#else
auto cubes(Row const& a, Row const& b) { return eval(map(Cube{}, a) + map(Cube{}, b)); }
#endif
