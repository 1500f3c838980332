// SPDX-License-Identifier: Apache-2.0
// The backward pass of a loss that is no recorded tensor.
// expect-error: backward starts at a recorded tensor
// expect-error: BackwardOfUnrecorded<
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Loss = ShardedTensor<Grid, Spec<>>;

#ifdef GSHARD_EXPECT_ERROR
void differentiate(Tape& tape, Loss const& loss) { tape.backward(loss); }
#else
void differentiate(Tape& tape, Loss const& loss) { tape.backward(tape.watch(loss)); }
#endif
