// SPDX-License-Identifier: Apache-2.0
// A block with another number of dimensions than the tensor.
// expect-error: from_local is given a view with another number of dimensions than the tensor
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Rows = ShardedTensor<Grid, Spec<"data", _>>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(Grid const& grid, Kokkos::View<float*> const& block) { return from_local<Rows>(grid, {4, 2}, block); }
#else
auto rows(Grid const& grid, Kokkos::View<float**> const& block) { return from_local<Rows>(grid, {4, 2}, block); }
#endif
