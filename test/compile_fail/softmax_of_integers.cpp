// SPDX-License-Identifier: Apache-2.0
// Weights are fractions.
// expect-error: softmax, log_softmax and log_sum_exp are of floating point
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <class T>
using Scores = ShardedTensor<Grid, Spec<"data", _>, T>;

#ifdef GSHARD_EXPECT_ERROR
auto weights(Scores<int> const& x) { return softmax<1>(x); }
#else
auto weights(Scores<double> const& x) { return softmax<1>(x); }
#endif
