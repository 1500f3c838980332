// SPDX-License-Identifier: Apache-2.0
// Convolutions and pooling in device memory, with their gradients, and halos for kernels of one's own.
#include <gshard/autodiff.hpp>
#include <gshard/reduce.hpp>
#include <gshard/spatial.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"row">, Axis<"column">>;

}  // namespace

void spatial(Runtime& runtime) {
  Grid grid(runtime, {2, 2});
  ShardedTensor<Grid, Spec<_, "row", "column", _>> x(grid, {2, 9, 9, 3});
  ShardedTensor<Grid, Spec<_, _, _, _>> w(grid, {3, 3, 3, 4});
  auto const halo = exchange_halo(x, {0, 1, 1, 0}, {0, 1, 1, 0});
  auto const sum_of_halo = sum_halo(halo, {0, 1, 1, 0}, {0, 1, 1, 0});

  Tape tape;
  auto const image = tape.watch(x);
  auto const window = tape.watch(w);
  auto const y =
      eval(convolution(image, window, {.stride = {2, 1}, .low = {1, 1}, .high = {1, 1}, .base_dilation = {1, 2}}));
  auto const pooled = average_pool(max_pool(y, {.window = {2, 2}}), {.window = {2, 2}});
  tape.backward(mean(pooled));
  auto const gradient = tape.gradient(window);
}
