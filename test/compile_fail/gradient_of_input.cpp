// SPDX-License-Identifier: Apache-2.0
// The gradient of input data, which no backward pass computes.
// expect-error: no gradient of input data is computed
// expect-error: GradientOfInput<
#include <gshard/autodiff.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Vector = ShardedTensor<Grid, Spec<"data">>;

#ifdef GSHARD_EXPECT_ERROR
Vector gradient(Tape& tape, Vector const& x) { return tape.gradient(tape.input(x)); }
#else
Vector gradient(Tape& tape, Vector const& x) { return tape.gradient(tape.watch(x)); }
#endif
