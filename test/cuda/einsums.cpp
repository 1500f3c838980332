// SPDX-License-Identifier: Apache-2.0
// Einsums in device memory: chains, updates, bfloat16 and integers, and their gradients.
#include <gshard/gshard.hpp>

using namespace gshard;

namespace {

using Grid = Mesh<Axis<"data">, Axis<"expert">>;

}  // namespace

void chain(Grid const& grid) {
  ShardedTensor<Grid, Spec<"data", _>> x(grid, {8, 6});
  ShardedTensor<Grid, Spec<_, "expert">> u(grid, {6, 4});
  ShardedTensor<Grid, Spec<"expert", _>> v(grid, {4, 5});
  ShardedTensor<Grid, Spec<"data", _>> y = einsum<"...b,bc,cd->...d">(x, u, v);
  y += einsum<"ab,bc,cd->ad">(x, u, v);
  static_assert(plan_of<"ab,bc,cd->ad", decltype(x), decltype(u), decltype(v), decltype(y)>.orders.size() == 2);
  Tape tape;
  tape.backward(sum(eval(einsum<"ab,bc,cd->ad">(tape.watch(x), movable(tape.watch(u)), v))));
}

void elements(Grid const& grid) {
  ShardedTensor<Grid, Spec<"data", _>, BFloat16> x(grid, {8, 6});
  ShardedTensor<Grid, Spec<_, "expert">, BFloat16> w(grid, {6, 4});
  auto product = einsum<"ab,bc->ac">(x, w).eval();
  product += einsum<"ab,bc->ac">(x, w);
  ShardedTensor<Grid, Spec<_, partial("data")>, BFloat16> parts = einsum<"ab->b">(x);
  auto total = reshard<Spec<"data">>(parts);
  ShardedTensor<Grid, Spec<"data", "expert">> wide = eval(cast<float>(relu(product)));
  ShardedTensor<Grid, Spec<"data", _>, int> counts(grid, {8, 6});
  ShardedTensor<Grid, Spec<_>, int> sums = einsum<"ab->b">(counts);
  ShardedTensor<Grid, Spec<_, _>, int> products = einsum<"ab,ac->bc">(counts, counts);
}
