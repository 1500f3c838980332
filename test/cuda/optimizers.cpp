// SPDX-License-Identifier: Apache-2.0
// Steps of all optimizers on parameters in device memory, state in pieces and float copies included.
#include <gshard/optim.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"data">, Axis<"expert">>;

struct Model {
  Parameter<ShardedTensor<Grid, Spec<"expert", _, _>>> weights;
  Parameter<ShardedTensor<Grid, Spec<_>, BFloat16>> bias;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
    visit(bias);
  }
};

template <optim::Optimizer Type>
void step(Model& model) {
  Type optimizer({.max_norm = 1});
  optimizer.step(model, 0.1);
}

}  // namespace

void optimizers(Runtime& runtime) {
  using optim::MasterWeights;
  using optim::SplitOver;
  Grid grid(runtime, {1, 2});
  Model model{{ShardedTensor<Grid, Spec<"expert", _, _>>(grid, {2, 128, 128}), {}},
              {ShardedTensor<Grid, Spec<_>, BFloat16>(grid, {128}), {}}};
  step<optim::AdamW<>>(model);
  step<optim::AdamW<SplitOver<"data">, MasterWeights>>(model);
  step<optim::Adafactor<>>(model);
  step<optim::Adafactor<SplitOver<"data">, MasterWeights>>(model);
  step<optim::Sgd<SplitOver<"data">>>(model);
}
