// SPDX-License-Identifier: Apache-2.0
// An axis without a name.
// expect-error: the name of a mesh axis has one or more characters, and no blank, control character, ',' or '='
#include <gshard/mesh.hpp>

using namespace gshard;

#ifdef GSHARD_EXPECT_ERROR
int size(Mesh<Axis<"">> const& grid) { return grid.size(0); }
#else
int size(Mesh<Axis<"a">> const& grid) { return grid.size(0); }
#endif
