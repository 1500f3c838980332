// SPDX-License-Identifier: Apache-2.0
// The sum of a float and a double tensor.
// expect-error: the operands of a pointwise expression have different element types; convert one of them first
// expect-error: PointwiseElementsDiffer<float, double
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <class T>
using Row = ShardedTensor<Grid, Spec<"data">, T>;

#ifdef GSHARD_EXPECT_ERROR
auto total(Row<float> const& a, Row<double> const& b) { return eval(a + b); }
#else
auto total(Row<float> const& a, Row<double> const& b) { return eval(cast<double>(a) + b); }
#endif
