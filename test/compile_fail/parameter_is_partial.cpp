// SPDX-License-Identifier: Apache-2.0
// Each part of an unreduced sum would be changed by the whole update.
// expect-error: gshard: an optimizer changes tensors and not unreduced sums; reshard the parameter to a spec without partial
// expect-error: ParameterIsPartial
#include <gshard/optim/sgd.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">>;

struct Model {
#ifdef GSHARD_EXPECT_ERROR
  Parameter<ShardedTensor<Grid, Spec<_, partial("data")>>> weights;
#else
  Parameter<ShardedTensor<Grid, Spec<_>>> weights;
#endif

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
  }
};

double step(Model& model) { return optim::Sgd<>().step(model, 0.1); }
