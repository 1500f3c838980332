// SPDX-License-Identifier: Apache-2.0
// A model whose parameters nobody can visit.
// expect-error: a model has a member .template <class Visit> void for_each_parameter
// expect-error: ModelWithoutParameters<.*Model
#include <gshard/optim.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;
struct Model {
  Parameter<ShardedTensor<Grid, Spec<_>>> weights;
#ifndef GSHARD_EXPECT_ERROR
  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
  }
#endif
};

void train(Model& model, optim::AdamW<>& optimizer) { optimizer.step(model, 1e-3); }
