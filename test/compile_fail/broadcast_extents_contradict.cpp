// SPDX-License-Identifier: Apache-2.0
// A bias whose type fixes another extent than that of the activations.
// expect-error: the types of two tensors fix different extents for one dimension
// expect-error: TensorExtentsContradict<0, 384, 768>
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
auto biased(T<"data", extent(768)> const& x, T<extent(384)> const& bias) { return eval(x + bias); }
#else
auto biased(T<"data", extent(768)> const& x, T<extent(768)> const& bias) { return eval(x + bias); }
#endif
