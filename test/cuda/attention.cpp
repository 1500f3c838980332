// SPDX-License-Identifier: Apache-2.0
// Attention on device memory: rotated queries and keys, fewer heads of keys than of queries, a sequence that is split.
#include <gshard/autodiff.hpp>
#include <gshard/nn/dot_product_attention.hpp>
#include <gshard/nn/rotary_embedding.hpp>
#include <gshard/reduce.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"data">, Axis<"sequence">>;
template <class T>
using Heads = ShardedTensor<Grid, Spec<"data", _, "sequence", _, _>, T>;
using Lengths = ShardedTensor<Grid, Spec<"data", _>, int>;

template <class T>
void attend(Grid const& grid) {
  Heads<T> const q(grid, {2, 1, 64, 8, 32}), k(grid, {2, 1, 64, 2, 32}), v(grid, {2, 1, 64, 2, 32});
  Lengths const lengths(grid, {2, 1});
  Tape tape;
  auto const rotated = nn::rotary_embedding(tape.watch(q));
  auto const keys = nn::rotary_embedding(tape.watch(k), {.pairs = nn::RotaryPairs::halves});
  auto const result =
      nn::dot_product_attention(rotated, keys, tape.watch(v), lengths, {.masking = nn::Masking::causal, .window = 16});
  tape.backward(mean(eval(cast<float>(result))));
}

}  // namespace

void attention(Runtime& runtime) {
  Grid grid(runtime, {1, 2});
  attend<float>(grid);
  attend<BFloat16>(grid);
}
