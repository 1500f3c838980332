// SPDX-License-Identifier: Apache-2.0
// A tensor written to a stream.
// expect-error: a tensor is not written by <<, since all ranks have to take part
// expect-error: TensorIsStreamed<
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Matrix = ShardedTensor<Grid, Spec<"data", _>>;

#ifdef GSHARD_EXPECT_ERROR
void show(std::ostream& stream, Matrix const& x) { stream << x; }
#else
void show(std::ostream& stream, Matrix const& x) { print(stream, x); }
#endif
