// SPDX-License-Identifier: Apache-2.0
// A tensor of an abstract run assigned to one that has elements.
// expect-error: a tensor in one memory space is given where another one is declared
// expect-error: ConvertedTensorOfOtherMemory<
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Row = ShardedTensor<Grid, Spec<_>>;
using Abstract = ShardedTensor<Grid, Spec<_>, float, AbstractSpace>;

#ifdef GSHARD_EXPECT_ERROR
Row same(Abstract const& h) { return h; }
#else
Abstract same(Abstract const& h) { return h; }
#endif
