// SPDX-License-Identifier: Apache-2.0
// Ids are used as they are.
// expect-error: gshard: a tape watches tensors of floating point, since integers have no gradient
// expect-error: GradientOfIntegers
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;

#ifdef GSHARD_EXPECT_ERROR
auto watched(Tape& tape, ShardedTensor<Grid, Spec<"data">, int> const& x) { return tape.watch(x); }
#else
auto watched(Tape& tape, ShardedTensor<Grid, Spec<"data">> const& x) { return tape.watch(x); }
#endif
