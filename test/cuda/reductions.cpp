// SPDX-License-Identifier: Apache-2.0
// Reductions, scans and softmax of tensors in device memory, over whole and split dimensions, and their gradients.
#include <gshard/gshard.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"data">, Axis<"expert">>;

template <class T>
using Matrix = ShardedTensor<Grid, Spec<"data", "expert", _>, T>;

}  // namespace

void reductions(Runtime& runtime) {
  Grid grid(runtime, {2, 2});
  Matrix<float> const x(grid, {8, 6, 5});
  ShardedTensor<Grid, Spec<"data", "expert">> const rows = sum<2>(2 * x + 1);
  ShardedTensor<Grid, Spec<"expert">> const scattered = mean<0, 2>(x);
  auto const largest = eval(maximum<0>(x));
  auto const smallest = eval(minimum<1, -1>(Matrix<BFloat16>(grid, {8, 6, 5})));
  auto const norms = eval(norm<1>(Matrix<double>(grid, {8, 6, 5})));
  static_assert(std::is_same_v<decltype(largest)::execution_space, Kokkos::Cuda>);
  auto const places = argmax<1>(x);
  auto const smallest_places = argmin<2>(Matrix<int>(grid, {8, 6, 5}));
  auto const numbers = cumulative_sum<0>(Matrix<std::int64_t>(grid, {8, 6, 5}), Scan::exclusive);
  auto const products = eval(prod<0, 2>(Matrix<BFloat16>(grid, {8, 6, 5})));
  auto const whole_products = eval(prod<1>(Matrix<int>(grid, {8, 6, 5})));
  double const total = sum(x) + norm(x) + mean(x) + prod(x);
  float const extremes = maximum(x) - minimum(x);
  static_cast<void>(total);
  static_cast<void>(extremes);
}

void gradients(Runtime& runtime) {
  Grid grid(runtime, {2, 2});
  Tape tape;
  auto const x = tape.watch(Matrix<float>(grid, {8, 6, 5}));
  auto const weights = softmax<-1>(x);
  auto const logarithms = log_softmax<1>(weights);
  auto const sums = cumulative_sum<0>(logarithms);
  auto const rows = log_sum_exp<0>(sums);
  auto const largest = eval(maximum<1>(rows));
  tape.backward(mean(largest) + norm(x) + prod(x));
}
