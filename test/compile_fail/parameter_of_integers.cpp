// SPDX-License-Identifier: Apache-2.0
// A table of ids is no parameter.
// expect-error: gshard: an optimizer changes parameters of floating point
// expect-error: ParameterOfIntegers
#include <gshard/optim/sgd.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;

struct Model {
  Parameter<ShardedTensor<Grid, Spec<_>>> weights;
  Parameter<ShardedTensor<Grid, Spec<_>, int>> ids;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
#ifdef GSHARD_EXPECT_ERROR
    visit(ids);
#endif
  }
};

double step(Model& model) { return optim::Sgd<>().step(model, 0.1); }
