// SPDX-License-Identifier: Apache-2.0
// The Mixture-of-Experts layer in device memory: by index and by one-hot einsums, run alone and differentiated.
#include <gshard/gshard.hpp>
#include <gshard/nn/moe/layer.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"data">, Axis<"expert">>;
struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Layer = nn::MixtureOfExperts<Grid, ByExpert>;

}  // namespace

void mixture_of_experts(Runtime& runtime) {
  Grid grid(runtime, {1, 2});
  nn::Initializer initializer(1);
  Layer layer(grid, initializer, {.experts = 4, .model = 8, .hidden = 16});
  ShardedTensor<Grid, Spec<"data,expert", _, _>> x(grid, {2, 6, 8});
  ShardedTensor<Grid, Spec<"data,expert", _>, int> real(grid, {2, 6});

  auto const alone = layer(x, real, nn::RandomStream{1, 2});
  auto const by_one_hot = layer.operator()<nn::DispatchForm::by_one_hot>(x, real, nn::RandomStream{1, 2});
  auto const difference = eval(alone.output - by_one_hot.output);

  Tape tape;
  auto const watched = tape.watch(x);
  auto const result = layer(watched, real, nn::RandomStream{1, 2});
  tape.backward(eval(mean(result.output * result.output) + result.balance_loss));
  auto const gradient = tape.gradient(watched);
}
