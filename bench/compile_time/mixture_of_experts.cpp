// SPDX-License-Identifier: Apache-2.0
// The Mixture-of-Experts layer with its gradient.
#include <gshard/nn.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"expert">>;
struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};

int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) {
    Grid grid(runtime, {1, 2});
    nn::Initializer initializer(1);
    nn::MixtureOfExperts<Grid, ByExpert> layer(grid, initializer, {.experts = 4, .model = 8, .hidden = 16});
    Tape tape;
    auto const x = tape.watch(ShardedTensor<Grid, Spec<"data,expert", _, _>>(grid, {2, 6, 8}));
    auto const result =
        layer(x, ShardedTensor<Grid, Spec<"data,expert", _>, int>(grid, {2, 6}), nn::RandomStream{1, 2});
    tape.backward(eval(mean(result.output * result.output) + result.balance_loss));
  });
}
