// SPDX-License-Identifier: Apache-2.0
// A matrix assigned to a vector.
// expect-error: a tensor is given where one of another number of dimensions is declared
// expect-error: ConvertedTensorOfOtherRank<2, 1
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
T<"data"> same(T<"data", _> const& h) { return h; }
#else
T<"data", _> same(T<"data", _> const& h) { return h; }
#endif
