// SPDX-License-Identifier: Apache-2.0
// Three sizes for two axes.
// expect-error: the number of sizes is not the number of axes of the mesh
// expect-error: MeshSizesCount<3, 2>
#include <gshard/mesh.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
Grid grid(AbstractRuntime& runtime) { return Grid(runtime, {4, 2, 1}, RankOrder{0, 1, 2, 3, 4, 5, 6, 7}); }
#else
Grid grid(AbstractRuntime& runtime) { return Grid(runtime, {4, 2}, RankOrder{0, 1, 2, 3, 4, 5, 6, 7}); }
#endif
