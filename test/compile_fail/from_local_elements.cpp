// SPDX-License-Identifier: Apache-2.0
// A block of other elements than the tensor's.
// expect-error: from_local is given a view of other elements than the tensor.s
#include <gshard/tensor.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
using Rows = ShardedTensor<Grid, Spec<"data", _>>;

#ifdef GSHARD_EXPECT_ERROR
auto rows(Grid const& grid, Kokkos::View<double**> const& block) { return from_local<Rows>(grid, {4, 2}, block); }
#else
auto rows(Grid const& grid, Kokkos::View<float const**> const& block) { return from_local<Rows>(grid, {4, 2}, block); }
#endif
