// SPDX-License-Identifier: Apache-2.0
// Two axes of one name.
// expect-error: two axes of the mesh have the same name
#include <gshard/mesh.hpp>

using namespace gshard;

#ifdef GSHARD_EXPECT_ERROR
int size(Mesh<Axis<"a">, Axis<"b">, Axis<"a">> const& grid) { return grid.size<"a">(); }
#else
int size(Mesh<Axis<"a">, Axis<"b">, Axis<"c">> const& grid) { return grid.size<"a">(); }
#endif
