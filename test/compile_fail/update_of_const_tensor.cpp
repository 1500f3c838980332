// SPDX-License-Identifier: Apache-2.0
// += through a reference to const, which promises not to change the elements.
// expect-error: changes the elements of a tensor that is declared const here
// expect-error: UpdateOfConstTensor<
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"updated">>;
using Row = ShardedTensor<Grid, Spec<"updated">>;

#ifdef GSHARD_EXPECT_ERROR
void accumulate(Row const& sum, Row const& x) { sum += 2 * x; }
#else
void accumulate(Row& sum, Row const& x) { sum += 2 * x; }
#endif
