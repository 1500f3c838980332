// SPDX-License-Identifier: Apache-2.0
// One size for two axes.
// expect-error: the number of sizes is not the number of axes of the mesh
// expect-error: MeshSizesCount<1, 2>
#include <gshard/mesh.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
Grid grid(Runtime& runtime) { return Grid(runtime, {4}); }
#else
Grid grid(Runtime& runtime) { return Grid(runtime, {4, 1}); }
#endif
