// SPDX-License-Identifier: Apache-2.0
// A tensor of float assigned to one of double.
// expect-error: a tensor of one element type is given where another one is declared
// expect-error: ConvertedTensorOfOtherElements<float, double
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <class T>
using Row = ShardedTensor<Grid, Spec<"data">, T>;

#ifdef GSHARD_EXPECT_ERROR
Row<double> wider(Row<float> const& h) {
  Row<double> x = h;
  return x;
}
#else
Row<double> wider(Row<float> const& h) {
  Row<double> x = cast<double>(h);
  return x;
}
#endif
