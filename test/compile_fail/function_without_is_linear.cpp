// SPDX-License-Identifier: Apache-2.0
// A function of one's own, of an unreduced sum.
// expect-error: a function of an unreduced sum .partial in its spec. has no is_linear
// expect-error: FunctionSaysNotWhetherLinear<.*Cube
#include <gshard/expr.hpp>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Sums = ShardedTensor<Grid, Spec<_, partial("data")>>;
using Whole = ShardedTensor<Grid, Spec<_>>;
struct Cube {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x * x * x;
  }
};

#ifdef GSHARD_EXPECT_ERROR
auto cubes(Sums const& x) { return eval(map(Cube{}, x)); }
#else
auto cubes(Sums const& x) { return eval(map(Cube{}, reshard<Whole::spec_type>(x))); }
#endif
