// SPDX-License-Identifier: Apache-2.0
// A training step and other operations on 16384 devices, in a program that starts neither MPI nor Kokkos. With an
// argument it looks at an element, and there is none.
#include <iostream>
#include <vector>

#include <gshard/gshard.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"expert">>;
struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Model = nn::Transformer<Grid, ByExpert, nn::TransformerParts, float, AbstractSpace>;
template <AxisNames... Entries>
using Tensor = ShardedTensor<Grid, Spec<Entries...>, float, AbstractSpace>;

void train(Grid const& grid) {
  using Integers = Model::Side::Integers;
  Model model(
      grid,
      {.vocabulary = 96, .max_length = 16, .model = 32, .hidden = 64, .heads = 4, .experts = grid.size<"expert">()}, 1);
  std::int64_t const groups = grid.ranks(), places = 32;
  auto numbers = [&](std::int64_t columns) {
    return from_vector<Integers>(grid, {groups, columns}, std::vector<int>(static_cast<std::size_t>(groups * columns)));
  };
  Model::Side const side{numbers(places), numbers(places), numbers(places), numbers(2)};
  Tape tape;
  auto const output = model(tape, side, side, nn::RandomStream{1, 1});
  tape.backward(eval(nn::cross_entropy(output.logits, side.ids, 1, 0.1) + output.balance_loss * 0.01));
  optim::AdamW<> optimizer({.max_norm = 1});
  std::cout << "norm of the gradients: " << optimizer.step(model, 0.001) << '\n';
}

void rearrange(Grid const& grid) {
  Tape tape;
  auto const x = tape.watch(Tensor<"data", "expert">(grid, {1 << 14, 1 << 14}));
  auto const turned = reshape<Spec<"expert,data">>(roll<0>(slice<1>(x, 1, 1 << 14, 3), 5), {(1 << 14) * 5461});
  tape.backward(mean(turned));
  auto const largest = argmax<0>(cumulative_sum<0>(x.value()));
  std::cout << describe(largest) << '\n' << "sum: " << sum(x.value()) << '\n';
}

void convolve(Grid const& grid) {
  Tape tape;
  auto const x = tape.watch(Tensor<_, "data", "expert", _>(grid, {2, 1 << 10, 1 << 10, 3}));
  auto const w = tape.watch(Tensor<_, _, _, _>(grid, {3, 3, 3, 4}));
  tape.backward(mean(max_pool(eval(convolution(x, w, {.low = {1, 1}, .high = {1, 1}})), {.window = {2, 2}})));
}

int main(int argc, char**) {
  AbstractRuntime runtime;
  Grid const grid(runtime, {64, 256});
  Tensor<"data"> const row(grid, {64});
  if (argc > 1) std::cout << row.local()(0) << '\n';
  train(grid);
  rearrange(grid);
  convolve(grid);
  std::cout << runtime.ledger();
}
