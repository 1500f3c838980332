// SPDX-License-Identifier: Apache-2.0
// One step of each optimizer.
#include <gshard/optim.hpp>

#include "element_types.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class T>
struct Model {
  Parameter<Of<T, "x", _>> weights;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
  }
};

template <class Optimizer, class T>
void step(TwoAxes const& mesh, Results& results) {
  Model<T> model{numbers<Of<T, "x", _>>(mesh, {3, 4}), {}};
  model.weights.gradient = positive_numbers<ParameterGradient<Of<T, "x", _>>>(mesh, {3, 4});
  Optimizer optimizer;
  optimizer.step(model, 0.5);
  results(model.weights.value);
}

}  // namespace

TEST_CASE("optimizers") {
  check_fractional_types("`optim::Sgd`, `optim::AdamW`, `optim::Adafactor`",
                         []<class T>(TwoAxes const& mesh, std::type_identity<T>, Results& results) {
                           step<optim::Sgd<>, T>(mesh, results);
                           step<optim::AdamW<>, T>(mesh, results);
                           step<optim::Adafactor<>, T>(mesh, results);
                         });
}
