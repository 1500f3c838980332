// SPDX-License-Identifier: Apache-2.0
// A NUL in the name of an axis.
// expect-error: the name of a mesh axis has one or more characters, and no blank, control character, ',' or '='
#include <gshard/mesh.hpp>

using namespace gshard;

#ifdef GSHARD_EXPECT_ERROR
int size(Mesh<Axis<"a\0b">> const& grid) { return grid.size(0); }
#else
int size(Mesh<Axis<"ab">> const& grid) { return grid.size(0); }
#endif
