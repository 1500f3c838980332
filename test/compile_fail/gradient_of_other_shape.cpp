// SPDX-License-Identifier: Apache-2.0
// A parameter of the user's own whose gradient has a dimension too few.
// expect-error: gshard: a parameter and its gradient are tensors of one mesh with the same number of dimensions; as Parameter<Tensor> declares them
// expect-error: GradientOfOtherShape
#include <gshard/optim/sgd.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;

struct Weights {
  using Gradient = ShardedTensor<Grid,
#ifdef GSHARD_EXPECT_ERROR
                                 Spec<"data">
#else
                                 Spec<"data", _>
#endif
                                 >;
  ShardedTensor<Grid, Spec<"data", _>> value;
  Gradient gradient;

  bool has_gradient() const { return gradient.is_set(); }
  void clear_gradient() { gradient = {}; }
};

struct Model {
  Weights weights;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
  }
};

double step(Model& model) { return optim::Sgd<>().step(model, 0.1); }
