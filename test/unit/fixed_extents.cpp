// SPDX-License-Identifier: Apache-2.0
// Tensors whose types fix extents, through all operations: what is the same as without, and which results stay fixed.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <type_traits>

#include <gshard/gshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
template <AxisNames... Entries>
using On = ShardedTensor<Line, Spec<Entries...>, double>;

using Fixed = On<extent("x", 6), extent(4)>;
using Weights = On<_, extent(3)>;

Line line() { return {runtime(), {ranks()}}; }
Fixed matrix(Line const& mesh) { return filled<Fixed>(mesh, {6, 4}, 1); }

/// The same elements without extents in the type.
On<"x", _> plain(Fixed const& tensor) { return tensor; }

template <class Tensor>
struct Model {
  Parameter<Tensor> weights;
  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(weights);
  }
};

/// The operation gives the same with and without.
template <class Operation>
void check_same(Line const& mesh, Operation const& operation) {
  auto const with = operation(matrix(mesh));
  auto const without = operation(plain(matrix(mesh)));
  CHECK(with.extents() == without.extents());
  CHECK(local_values(with) == local_values(without));
}

}  // namespace

TEST_CASE("pointwise results keep what their first tensor fixes") {
  Line const mesh = line();
  auto const x = matrix(mesh);
  auto const y = eval(2 * x + plain(x));
  static_assert(std::is_same_v<decltype(y)::spec_type, Fixed::spec_type>);
  CHECK(local_values(y) == local_values(eval(3 * plain(x))));
  assign(y, x - 1);
  CHECK(local_values(y) == local_values(eval(plain(x) - 1)));
  check_same(mesh, [](auto const& t) { return eval(relu(t) + exp(t)); });
}

TEST_CASE("einsums") {
  Line const mesh = line();
  auto const w = filled<Weights>(mesh, {4, 3}, 2);
  auto const product = einsum<"ab,bc->ac">(matrix(mesh), w).eval();
  static_assert(std::is_same_v<std::remove_const_t<decltype(product)>::spec_type, Spec<extent("x", 6), extent(3)>>);
  check_same(mesh, [&](auto const& t) { return einsum<"ab,bc->ac">(t, w).eval(); });
  On<"x", _> const declared = einsum<"ab,bc->ac">(matrix(mesh), w);
  CHECK(local_values(declared) == local_values(product));
  check_same(mesh, [](auto const& t) { return einsum<"ab->b">(t).eval(); });
}

TEST_CASE("of two movable operands the smaller one moves, and the product is the same") {
  Line const mesh = line();
  auto const few = filled<On<extent("x", 2), extent(5)>>(mesh, {2, 5}, 1);
  auto const many = filled<On<extent(5), extent("x", 7)>>(mesh, {5, 7}, 2);
  auto const product = einsum<"ab,bc->ac">(movable(few), movable(many)).eval();
  static_assert(std::is_same_v<std::remove_const_t<decltype(product)>::spec_type, Spec<extent(2), extent("x", 7)>>);
  auto const expected =
      dense_einsum("ab,bc->ac", {{{2, 5}, dense_values({2, 5}, 1)}, {{5, 7}, dense_values({5, 7}, 2)}});
  CHECK(difference(product, expected.values) == "");
}

TEST_CASE("reductions, cumulative sums, argmax") {
  Line const mesh = line();
  CHECK(sum(matrix(mesh)) == sum(plain(matrix(mesh))));
  CHECK(norm(matrix(mesh)) == norm(plain(matrix(mesh))));
  check_same(mesh, [](auto const& t) { return eval(sum<0>(t)); });
  check_same(mesh, [](auto const& t) { return eval(maximum<1>(t)); });
  check_same(mesh, [](auto const& t) { return cumulative_sum<0>(t); });
  check_same(mesh, [](auto const& t) { return argmax<1>(t); });
}

TEST_CASE("results of other extents") {
  Line const mesh = line();
  check_same(mesh, [](auto const& t) { return slice<0>(t, 1, 4); });
  check_same(mesh, [](auto const& t) { return slice<1>(t, 0, 4, 2); });
  check_same(mesh, [](auto const& t) { return pad<0>(t, 1, 2); });
  check_same(mesh, [](auto const& t) { return reverse<0>(t); });
  check_same(mesh, [](auto const& t) { return roll<0>(t, 1); });
  check_same(mesh, [](auto const& t) { return concatenate<0>(t, t); });
  check_same(mesh, [](auto const& t) { return merge_dimensions<0>(replicate(t)); });
  check_same(mesh, [](auto const& t) { return split_dimension<1>(t, 2); });
  check_same(mesh, [](auto const& t) { return sort<1>(t); });
  check_same(mesh, [](auto const& t) { return replicate(t); });
  check_same(mesh, [](auto const& t) { return copy(t); });
  check_same(mesh, [](auto const& t) { return softmax<-1>(t); });
}

TEST_CASE("pooling") {
  Line const mesh = line();
  using Image = On<extent(2), extent("x", 8), extent(3)>;
  auto const image = filled<Image>(mesh, {2, 8, 3}, 1);
  On<_, "x", _> const same = image;
  PoolOptions<1> const options{.window = {3}, .stride = {{2}}};
  CHECK(local_values(max_pool(image, options)) == local_values(max_pool(same, options)));
  CHECK(local_values(average_pool(image, options)) == local_values(average_pool(same, options)));
  Tape tape;
  auto const x = tape.watch(image);
  tape.backward(sum(max_pool(x, options)));
  CHECK(tape.gradient(x).extents() == Extents{2, 8, 3});
}

TEST_CASE("gradients, and a step of an optimizer") {
  Line const mesh = line();
  auto const w = filled<Weights>(mesh, {4, 3}, 2, smooth);
  auto loss_gradients = [&](auto const& input, auto const& weights) {
    Tape tape;
    auto const x = tape.watch(input);
    auto const v = tape.watch(weights);
    auto const h = relu(einsum<"ab,bc->ac">(x, v));
    Var<On<"x", _>> const again = einsum<"ac,cd->ad">(h, filled<On<_, _>>(mesh, {3, 5}, 3, smooth));
    tape.backward(sum(square(again)) + sum(square(replicate(x))));
    return std::pair(local_values(tape.gradient(x)), local_values(tape.gradient(v)));
  };
  On<_, _> const plain_w = w;
  CHECK(loss_gradients(matrix(mesh), w) == loss_gradients(plain(matrix(mesh)), plain_w));

  auto after_step = [&](auto const& weights) {
    Model<std::remove_cvref_t<decltype(weights)>> model{{copy(weights), {}}};
    model.weights.gradient = copy(plain_w);
    optim::AdamW<>{}.step(model, 0.5);
    return local_values(model.weights.value);
  };
  CHECK(after_step(w) == after_step(plain_w));
  CHECK(after_step(w) != local_values(w));
}
