// SPDX-License-Identifier: Apache-2.0
// The gradient of a bias, to which activations (S, M) are added.
// expect-error: a pointwise expression has dimensions that the tensor it is assigned or added to lacks
// expect-error: AssignedHasMoreDimensions<
#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
void add(T<_>& bias, T<"data", _> const& x) { bias += x; }
#else
void add(T<_>& bias, T<"data", _> const& x) { bias += sum<0>(x); }
#endif
