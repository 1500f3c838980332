// SPDX-License-Identifier: Apache-2.0
// Sharded tensors in device memory: filled, held in other ways, and gathered.
#include <gshard/gshard.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"data">, Axis<"expert">>;

struct Position {
  KOKKOS_FUNCTION float operator()(GlobalIndex<3> index) const {
    return static_cast<float>(index[0] + index[1] * index[2]);
  }
};

}  // namespace

void move(Runtime& runtime) {
  Grid grid(runtime, {2, 2});
  ShardedTensor<Grid, Spec<"data,expert", _, _>> x(grid, {8, 6, 5});
  static_assert(std::is_same_v<decltype(x)::execution_space, Kokkos::Cuda>);
  fill(x, Position{});
  auto rows = reshard<Spec<_, "expert", _>>(x);
  auto columns = split<2, "data">(rows);
  auto whole = replicate(columns);
  Grid turned(runtime, {2, 2}, RankOrder{3, 2, 1, 0});
  ShardedTensor<Grid, Spec<extent("expert", 8), _, extent(5)>> fixed = reshard<Spec<"expert", extent(6), _>>(x, turned);
  ShardedTensor<Grid, Spec<"expert", _, _>> plain = fixed;
  x = reshard<Spec<"data,expert", _, _>>(plain, grid);
  Kokkos::View<float***, Kokkos::LayoutLeft, Kokkos::HostSpace> given("given", 8, 6, 5);
  whole = from_local<decltype(whole)>(grid, {8, 6, 5}, given);
  Kokkos::View<float***, Kokkos::LayoutRight, Kokkos::CudaSpace> local = whole.local();
  Kokkos::deep_copy(local, 1.0f);
}
