// SPDX-License-Identifier: Apache-2.0
// The heat equation in two dimensions, explicit in time, on blocks of unequal size with halos from their neighbours.
// Every mesh prints the same residuals: mpirun -n 4 heat row=2,column=2
#include <array>
#include <cstdio>
#include <utility>

#include <gshard/gshard.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"row">, Axis<"column">>;
using Field = ShardedTensor<Grid, Spec<"row", "column">, double>;
using FieldWithHalo = decltype(std::declval<HaloBlock<Field>>().local());

constexpr int Height = 37, Width = 51;  // on a mesh of 2 by 2: 19 + 18 rows, 26 + 25 columns

struct Heater {  // heat per time step, by global index: a square in one corner of the plate
  KOKKOS_FUNCTION double operator()(GlobalIndex<2> const& index) const {
    return index[0] < 12 && index[1] < 12 ? 1.0 : 0.0;
  }
};

/// residual[i, j] = heat[i, j] + u[i-1, j] + u[i+1, j] + u[i, j-1] + u[i, j+1] - 4 u[i, j]
struct Residual {
  FieldWithHalo u;  // one element wider on every side than the block of this rank
  Field::view_type heat, residual;
  KOKKOS_FUNCTION void operator()(int i, int j) const {
    double const around = u(i, j + 1) + u(i + 2, j + 1) + u(i + 1, j) + u(i + 1, j + 2);
    residual(i, j) = heat(i, j) + around - 4 * u(i + 1, j + 1);
  }
};

int main(int argc, char** argv) {
  return run(argc, argv, [&](Runtime& runtime) {
    Grid grid(runtime, argc > 1 ? parse_sizes<Grid>(argv[1]) : std::array{runtime.size(), 1});
    Field u(grid, {Height, Width}, "temperature");  // zeros
    Field heat(grid, {Height, Width}, "heat");
    Field residual(grid, {Height, Width}, "residual");
    fill(heat, Heater{});
    Kokkos::MDRangePolicy<Kokkos::Rank<2>> const block({0, 0}, {u.local_extent(0), u.local_extent(1)});
    for (int step = 0; step <= 500; ++step) {
      auto const halo = exchange_halo(u, {1, 1}, {1, 1});  // outside the plate: 0, its borders are kept cold
      Kokkos::parallel_for("residual", block, Residual{halo.local(), heat.local(), residual.local()});
      double const size = norm(residual);  // over all ranks: every rank calls it
      if (step % 100 == 0 && runtime.is_root()) std::printf("step %3d  norm of the residual %.8f\n", step, size);
      u += 0.2 * residual;  // stable up to 0.25
    }
  });
}
