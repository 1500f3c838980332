// SPDX-License-Identifier: Apache-2.0
// An image in four parts, none of them alike, and a convolution that does not notice. Run it on 4 ranks:
// mpirun -n 4 convolution
#include <iostream>

#include <gshard/gshard.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"row">, Axis<"column">>;

constexpr int N = 2, Height = 37, Width = 51, I = 3, O = 8;  // images, their size, channels in and out

struct Wave {
  template <class Index>
  KOKKOS_FUNCTION double operator()(Index const& index) const {
    return Kokkos::sin(static_cast<double>(1 + index[0] + 3 * index[1] + 7 * index[2] + 5 * index[3]));
  }
};

int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) {
    Grid grid(runtime, {2, 2});

    // 19 + 18 rows, 26 + 25 columns
    ShardedTensor<Grid, Spec<_, "row", "column", _>, double> x(grid, {N, Height, Width, I}, "x");
    // the window, whole on every rank
    ShardedTensor<Grid, Spec<_, _, _, _>, double> w(grid, {5, 5, I, O}, "w");
    fill(x, Wave{});
    fill(w, Wave{});

    // Each output sees 5 x 5 places of the image, every second one of them a step further; two rows and columns of
    // zeros lie around the image.
    ConvolutionOptions<2> const options{.stride = {2, 2}, .low = {2, 2}, .high = {2, 2}};
    // halos come from the neighbours, corners included
    auto const in_parts = eval(convolution(x, w, options));
    auto const at_once = eval(convolution(replicate(x), w, options));  // the same on every rank alone

    double const difference = norm(replicate(in_parts) - at_once);

    ShardedTensor<Grid, Spec<"row", "column">, double> halo(grid, {2, 2},
                                                            "bytes of halo received, by row and column of the mesh");
    Kokkos::deep_copy(halo.local(), static_cast<double>(halo_bytes(convolution(x, w, options)).received));
    print(std::cout, halo);
    if (runtime.is_root()) std::cout << "distance from the result of one rank: " << difference << '\n';
    return difference < 1e-9 ? 0 : 1;
  });
}
