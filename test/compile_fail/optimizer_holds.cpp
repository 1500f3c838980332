// SPDX-License-Identifier: Apache-2.0
// Elements and memory follow the parameters; only how state is held is said.
// expect-error: gshard: an optimizer is told how to hold its state, by SplitOver<axes> and MasterWeights; it takes elements and memory from its parameters
#include <gshard/optim/adamw.hpp>

using namespace gshard;

struct Model {
  Parameter<ShardedTensor<Mesh<Axis<"data">>, Spec<_>>> weights;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
  }
};

#ifdef GSHARD_EXPECT_ERROR
using Optimizer = optim::AdamW<double>;
#else
using Optimizer = optim::AdamW<optim::SplitOver<"data">>;
#endif

double step(Model& model) { return Optimizer().step(model, 0.1); }
