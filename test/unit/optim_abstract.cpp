// SPDX-License-Identifier: Apache-2.0
// Steps of optimizers on abstract meshes ask of a rank what they do on real ones.
#include <gshard/optim.hpp>

#include "dense_reference.hpp"
#include "two_ledgers.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class Space, class T, AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, T, Space>;

template <class Space>
struct Model {
  Parameter<On<Space, float, "x", _, _>> experts;
  Parameter<On<Space, float, _, "y">> matrix;
  Parameter<On<Space, BFloat16, _>> vector;

  explicit Model(TwoAxes const& mesh)
      : experts{{mesh, {5, 4, 3}}, {mesh, {5, 4, 3}}},
        matrix{{mesh, {7, 9}}, {mesh, {7, 9}}},
        vector{{mesh, {12}}, {mesh, {12}}} {}

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(experts);
    visit(matrix);
    visit(vector);
  }
};

template <class Optimizer>
void check_step(TwoMeshes<TwoAxes>& meshes, typename Optimizer::Options const& options) {
  check_same_ledgers(meshes, [&]<class Space>(std::type_identity<Space>, TwoAxes const& mesh) {
    Model<Space> model(mesh);
    Optimizer(options).step(model, .1);
  });
}

}  // namespace

TEST_CASE("a step of any optimizer: work, messages, bytes and memory on real and on abstract meshes") {
  using optim::MasterWeights;
  using optim::SplitOver;
  for (auto const& shape : two_axis_shapes()) {
    TwoMeshes<TwoAxes> meshes(shape);
    INFO("mesh (", meshes.real.text(), ")");
    check_step<optim::AdamW<>>(meshes, {.max_norm = 1});
    check_step<optim::AdamW<SplitOver<"x,y">, MasterWeights>>(meshes, {.max_norm = 1});
    check_step<optim::Adafactor<>>(meshes, {.smallest_factored = 3, .max_norm = 1});
    check_step<optim::Adafactor<SplitOver<"y">, MasterWeights>>(meshes, {.smallest_factored = 3});
    check_step<optim::Sgd<SplitOver<"x">>>(meshes, {.momentum = .9});
  }
}
