// SPDX-License-Identifier: Apache-2.0
// Training on device memory: dropout, layer norm, a block that runs again in the backward pass, gradients that add up.
#include <gshard/nn/dropout.hpp>
#include <gshard/nn/layer_norm.hpp>

#include <gshard/autodiff.hpp>
#include <gshard/reduce.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"data">, Axis<"expert">>;
using Tokens = ShardedTensor<Grid, Spec<"data", _, _>>;

struct Block {
  nn::LayerNorm<Grid, nn::Parallelism>* norm;

  template <class X>
  auto operator()(X const& x) const {
    return eval(x + nn::dropout((*norm)(x), .1, nn::RandomStream{1, 2}));
  }
};

}  // namespace

void training(Runtime& runtime) {
  Grid grid(runtime, {1, 2});
  nn::Initializer initializer(1);
  nn::LayerNorm<Grid, nn::Parallelism> norm(grid, initializer, 128);
  Accumulation sums;
  Tape tape(sums);
  tape.backward(mean(recompute(Block{&norm}, tape.watch(Tokens(grid, {2, 64, 128})))));
  sums.reduce();
}
