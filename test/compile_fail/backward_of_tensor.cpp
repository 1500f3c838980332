// SPDX-License-Identifier: Apache-2.0
// A backward pass from something that is no scalar.
// expect-error: backward starts at a scalar
#include <gshard/autodiff.hpp>
#include <gshard/reduce.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

#ifdef GSHARD_EXPECT_ERROR
void learn(Tape& tape, T<"data", _> const& x) { tape.backward(square(tape.watch(x))); }
#else
void learn(Tape& tape, T<"data", _> const& x) { tape.backward(mean(square(tape.watch(x)))); }
#endif
