// SPDX-License-Identifier: Apache-2.0
// Rearrangements, reshapes, gathers, scatters and sorting in device memory, with their gradients.
#include <gshard/autodiff.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"row">, Axis<"column">>;

}  // namespace

void index(Runtime& runtime) {
  Grid grid(runtime, {2, 2});
  ShardedTensor<Grid, Spec<"row", _>> x(grid, {6, 8});
  ShardedTensor<Grid, Spec<"column">, int> places(grid, {4});
  Tape tape;
  auto const watched = tape.watch(x);
  auto const turned = concatenate<0>(roll<0>(reverse<0>(slice<0>(watched, 1, 5)), 1), pad<0>(watched, 1, 2));
  auto const updated = update_slice<0>(turned, watched, 2);
  auto const shaped = reshape<Spec<_, "row">>(updated, {4, turned.value().size() / 4});
  auto const sum = scatter_add<1>(watched, places, take<1>(watched, places));
  tape.backward(mean(shaped) + mean(sort<1>(sum)) + mean(top_k<1>(sum, 2).values));
  auto const gradient = tape.gradient(watched);
}
