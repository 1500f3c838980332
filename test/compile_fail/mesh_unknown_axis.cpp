// SPDX-License-Identifier: Apache-2.0
// The size of an axis that the mesh does not have.
// expect-error: this mesh has no axis of that name
#include <gshard/mesh.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;

#ifdef GSHARD_EXPECT_ERROR
int size(Grid const& grid) { return grid.size<"model">(); }
#else
int size(Grid const& grid) { return grid.size<"expert">(); }
#endif
