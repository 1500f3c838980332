// SPDX-License-Identifier: Apache-2.0
// Layer norm on every mesh, with even, uneven and empty shards of the tokens.
#include <cmath>
#include <cstdint>
#include <type_traits>

#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/rms_norm.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

/// in[0] (..., M), its rows normalised, times in[1] (M), plus in[2] (M).
Values layer_norm_of(std::vector<Dense> const& in, double epsilon) {
  std::size_t const columns = in[1].values.size();
  Values result(in[0].values.size());
  for (std::size_t row = 0; row < result.size(); row += columns) {
    double mean = 0, variance = 0;
    for (std::size_t m = 0; m < columns; ++m) mean += in[0].values[row + m] / static_cast<double>(columns);
    for (std::size_t m = 0; m < columns; ++m)
      variance += std::pow(in[0].values[row + m] - mean, 2) / static_cast<double>(columns);
    for (std::size_t m = 0; m < columns; ++m)
      result[row + m] =
          (in[0].values[row + m] - mean) / std::sqrt(variance + epsilon) * in[1].values[m] + in[2].values[m];
  }
  return result;
}

}  // namespace

TEST_CASE("layer_norm: (x - mean) / sqrt(variance + epsilon) * gain + bias") {
  on_every_grid([](Grid const& grid) {
    auto check = [&]<class Tensor>(std::type_identity<Tensor>, std::int64_t groups) {
      check_operation<Tensor, On<_>, On<_>>(
          grid, {smooth_values({groups, 4, 5}, 1), smooth_values({5}, 2), smooth_values({5}, 3)},
          [](auto const& x, auto const& gain, auto const& bias) { return nn::layer_norm(x, gain, bias, 1e-3); },
          [](std::vector<Dense> const& in) { return layer_norm_of(in, 1e-3); });
    };
    for (std::int64_t groups : {1, 3, 8}) {
      INFO(groups, " groups");
      check(std::type_identity<On<"data,expert", _, _>>{}, groups);
      check(std::type_identity<On<"data", "expert", _>>{}, groups);
      check(std::type_identity<On<"expert", _, _>>{}, groups);
    }
  });
}

TEST_CASE("a layer norm starts with gains of 1 and biases of 0, and learns both") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(1);
    nn::LayerNorm<Grid, nn::Parallelism, double> norm(grid, initializer, 4);
    CHECK(difference(norm(tensor_of<On<"data", _>>(grid, {{1, 4}, {1, 1, -1, -1}})), {1, 1, -1, -1}, 1e-6) == "");
    check_layer<On<"data,expert", _>>(
        grid, norm, {smooth_values({3, 4}, 1)}, [](auto& layer, auto const& x) { return layer(x); },
        [](std::vector<Dense> const& in) { return layer_norm_of(in, 1e-6); });
  });
}

TEST_CASE("layer_norm, rms_norm: x, gain and bias get their gradients whichever of them are recorded") {
  on_every_grid([](Grid const& grid) {
    NoParameters none;
    auto const x = tensor_of<On<"data,expert", _>>(grid, smooth_values({3, 4}, 1));
    auto const gain = tensor_of<On<_>>(grid, smooth_values({4}, 2));
    auto const bias = tensor_of<On<_>>(grid, smooth_values({4}, 3));
    check_recorded_combinations(
        none, [](NoParameters&, auto const&... operands) { return nn::layer_norm(operands...); }, x, gain, bias);
    check_recorded_combinations(
        none, [](NoParameters&, auto const&... operands) { return nn::rms_norm(operands...); }, x, gain);
  });
}
