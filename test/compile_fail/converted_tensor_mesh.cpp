// SPDX-License-Identifier: Apache-2.0
// A tensor assigned to one on a mesh of another type.
// expect-error: a tensor on a mesh of one type is given where another one is declared
// expect-error: ConvertedTensorOfOtherMesh<
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Line = Mesh<Axis<"line">>;
using Row = ShardedTensor<Grid, Spec<_>>;
using Other = ShardedTensor<Line, Spec<_>>;

#ifdef GSHARD_EXPECT_ERROR
Other moved(Row const& h, Line const&) { return h; }
#else
Other moved(Row const& h, Line const& line) { return reshard<Spec<_>>(h, line); }
#endif
