// SPDX-License-Identifier: Apache-2.0
// An element by its global indices, as of an array.
// expect-error: a tensor has no call operator, since each rank holds a block
// expect-error: TensorIsIndexed<
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Matrix = ShardedTensor<Grid, Spec<"data", _>>;

#ifdef GSHARD_EXPECT_ERROR
float first(Matrix const& x) { return x(0, 0); }
#else
float first(Matrix const& x) { return x.local()(0, 0); }
#endif
