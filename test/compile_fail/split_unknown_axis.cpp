// SPDX-License-Identifier: Apache-2.0
// A name that the mesh does not have, in split.
// expect-error: the spec names an axis that the mesh does not have
// expect-error: SpecNamesUnknownAxis<gshard::error::Name<.m., .o., .d., .l.>
#include <gshard/reshard.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"model">>;
using Whole = ShardedTensor<Grid, Spec<_, _>>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(Whole const& x) { return split<0, "modl">(x); }
#else
auto rows(Whole const& x) { return split<0, "model">(x); }
#endif
