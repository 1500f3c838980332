// SPDX-License-Identifier: Apache-2.0
// Gradients against central differences in double precision: every element of every operand, on every mesh of two axes.
#include "gradients.hpp"

#include <functional>
#include <tuple>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

/// 1, 2, 3, ... in row-major order.
double count_from_one(std::int64_t, std::int64_t position) { return static_cast<double>(position + 1); }

}  // namespace

// ---- Einsums

TEST_CASE("einsums of two operands") {
  check_gradients_of(
      std::tuple<
          // data parallel, tensor parallel, both
          Row<"ab,bc->ac", Propagated, Spec<"x", _>, Spec<_, _>>,
          Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x">, Spec<"x", _>>,
          Row<"ab,bc->ac", Propagated, Spec<"x", _>, Spec<_, "y">>,
          Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", "y">, Spec<"y", _>>,
          Row<"ab,bc->ac", Spec<_, "x">, Spec<_, "x">, Spec<"x", _>>,
          Row<"ab,bc->ac", Spec<_, _>, Spec<"x", _>, Spec<_, "y">>,
          // slices
          Row<"ab,bc->ac", Spec<"x", "y">, Spec<_, _>, Spec<_, _>>,
          Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x,y">, Spec<_, _>>,
          // fully sharded
          Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Movable<Spec<"x", _>>>,
          Row<"ab,bc->ac", Spec<"x", "y">, Spec<"x", _>, Movable<Spec<"x", "y">>>,
          Row<"ab,bc->ac", Spec<_, _>, Movable<Spec<"x", _>>, Spec<"x", _>>,
          Row<"ab,bc->ac", Spec<_, _>, Spec<_, "x,y">, Movable<Spec<"y,x", _>>>,
          // unreduced sums: results, operands
          Row<"ab,bc->ac", Spec<_, _, partial("x")>, Spec<_, "x">, Spec<"x", _>>,
          Row<"ab,bc->ac", Spec<_, _>, Spec<_, _, partial("x")>, Spec<_, _>>,
          Row<"ab,bc->ac", Propagated, Spec<_, _, partial("x")>, Spec<_, "y">>,
          Row<"ab,bc->ac", Spec<"x", _>, Movable<Spec<_, _, partial("x")>>, Movable<Spec<_, _, partial("x,y")>>>,
          // the mixture of experts
          Row<"abcd,abe->cade", Spec<"y", "x", _, _>, Spec<"x,y", _, _, _>, Spec<"x,y", _, _>>,
          Row<"cade,ceb->cadb", Propagated, Spec<"y", "x", _, _>, Spec<"y", _, _>>,
          // others
          Row<"ab,b->a", Spec<"y">, Spec<"x", _>, Spec<_>>, Row<"a,a->", Spec<>, Spec<"x,y">, Spec<"x,y">>,
          Row<"ac,b->abc", Propagated, Spec<"x", _>, Spec<"y">>, Row<",ab->ba", Propagated, Spec<>, Spec<"x", "y">>,
          Row<"dab,dbc->dac", Propagated, Spec<"x", "y", _>, Spec<"x", _, _>>,
          Row<"ab,c->ac", Spec<_, _>, Spec<_, "x">, Spec<"y">>, Row<"ab,cd->", Spec<>, Spec<"x", _>, Spec<_, "y">>>{});
}

TEST_CASE("einsums of one operand") {
  check_gradients_of(
      std::tuple<Row<"ab->ba", Propagated, Spec<"x", _>>, Row<"ab->ba", Spec<"x", "y">, Spec<"x", _>>,
                 Row<"ab->a", Propagated, Spec<"x", "y">>, Row<"ab->b", Spec<"x">, Spec<"x", _>>,
                 Row<"ab->", Spec<>, Spec<"y", "x">>, Row<"ab->ba", Spec<_, _>, Spec<_, _, partial("x")>>>{});
}

TEST_CASE("einsums of more than two operands: each contraction of two is recorded") {
  check_gradients_of(std::tuple<Row<"ab,bc,cd->ad", Spec<"x", _>, Spec<"x", _>, Spec<_, "y">, Spec<"y", _>>,
                                Row<"ab,bc,cd->ad", Propagated, Spec<"x", _>, Movable<Spec<"x", _>>, Spec<_, _>>,
                                Row<"a,ab,b->", Spec<>, Spec<"x">, Spec<"x", "y">, Spec<"y">>,
                                Row<"ab,bc,cd,d->a", Spec<"y">, Spec<_, "x">, Spec<"x", _>, Spec<_, _>, Spec<_>>>{});
}

TEST_CASE("diagonals") {
  check_gradients_of(std::tuple<Row<"aa->a", Propagated, Spec<_, _>>, Row<"aab->ab", Propagated, Spec<_, _, "x">>,
                                Row<"aab->b", Spec<"x">, Spec<_, _, _>>, Row<"aa->a", Spec<"x">, Movable<Spec<"x", _>>>,
                                Row<"aab,b->a", Spec<"y">, Spec<_, _, "x">, Spec<_>>>{});
}

TEST_CASE("two layers with a function between") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_gradients(
        [](auto const& x, auto const& w, auto const& v) {
          auto const hidden = tanh(eval(einsum<"ab,bc->ac">(x, movable(w))));
          return weighted_sum(shard<Spec<"x", _>>(einsum<"ac,cd->ad">(hidden, v)));
        },
        filled<On<"x", _>>(mesh, {3, 2}, 1, smooth), filled<On<"x", "y">>(mesh, {2, 4}, 2, smooth),
        filled<On<"y", _>>(mesh, {4, 2}, 3, smooth));
  });
}

// ---- Reshards

namespace {

template <class From, class... To>
void check_reshards(TwoAxes const& mesh) {
  auto const input = filled<Of<double, From>>(mesh, {3, 2}, 1, smooth);
  (check_gradients([](auto const& x) { return weighted_sum(reshard<To>(x)); }, input), ...);
}

}  // namespace

TEST_CASE("reshards of all kinds") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_reshards<Spec<_, _>, Spec<"x", _>, Spec<_, _>, Spec<_, _, partial("x")>, Spec<_, "x,y">>(mesh);
    check_reshards<Spec<"x", _>, Spec<_, _>, Spec<_, "x">, Spec<"y", _>, Spec<"x,y", _>, Spec<_, "y", partial("x")>>(
        mesh);
    check_reshards<Spec<"x,y", _>, Spec<"y,x", _>, Spec<"x", "y">, Spec<_, _, partial("x,y")>>(mesh);
    check_reshards<Spec<_, _, partial("x")>, Spec<_, _>, Spec<"x", _>, Spec<_, "y">, Spec<_, _, partial("x")>,
                   Spec<_, _, partial("y")>>(mesh);
    check_reshards<Spec<"y", _, partial("x")>, Spec<"y", "x">, Spec<_, _>, Spec<"y", _, partial("x")>>(mesh);
  });
}

TEST_CASE("the paper's names") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const input = filled<On<"x", _>>(mesh, {3, 2}, 1, smooth);
    check_gradients([](auto const& x) { return weighted_sum(replicate(x)); }, input);
    check_gradients([](auto const& x) { return weighted_sum(split<1, "y">(x)); }, input);
    check_gradients([](auto const& x) { return weighted_sum(shard<Spec<_, "x">>(x)); }, input);
  });
}

// ---- Maps and reductions

namespace {

/// Between a half and two and a half.
double positive(std::int64_t seed, std::int64_t position) { return 1.5 + smooth(seed, position); }

auto const weighted = [](auto const& result) {
  if constexpr (AnyVar<decltype(result)>) return weighted_sum(result);
  else return weighted_sum(eval(result));
};

}  // namespace

TEST_CASE("every function of one operand") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const any = filled<On<"x", "y">>(mesh, {3, 5}, 1, smooth);
    auto const above_zero = filled<On<"x", "y">>(mesh, {3, 5}, 1, positive);
    check_gradients([](auto const& x) { return weighted(relu(x)); }, any);
    check_gradients([](auto const& x) { return weighted(exp(x)); }, any);
    check_gradients([](auto const& x) { return weighted(tanh(x)); }, any);
    check_gradients([](auto const& x) { return weighted(sigmoid(x)); }, any);
    check_gradients([](auto const& x) { return weighted(square(x)); }, any);
    check_gradients([](auto const& x) { return weighted(-x); }, any);
    check_gradients([](auto const& x) { return weighted(log(x)); }, above_zero);
    check_gradients([](auto const& x) { return weighted(sqrt(x)); }, above_zero);
  });
}

TEST_CASE("every operator, with tensors and numbers on either side") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", "y">>(mesh, {3, 5}, 1, smooth);
    auto const b = filled<On<"x", "y">>(mesh, {3, 5}, 2, positive);
    check_gradients([](auto const& x, auto const& y) { return weighted(x + y); }, a, b);
    check_gradients([](auto const& x, auto const& y) { return weighted(x - y); }, a, b);
    check_gradients([](auto const& x, auto const& y) { return weighted(x * y); }, a, b);
    check_gradients([](auto const& x, auto const& y) { return weighted(x / y); }, a, b);
    check_gradients([](auto const& x) { return weighted((3 + x) * 2 - 1); }, a);
    check_gradients([](auto const& x) { return weighted(1 - 2 * (x - 1)); }, a);
    check_gradients([](auto const& x) { return weighted(x / 4 + 3 / x); }, b);
  });
}

TEST_CASE("operands that are not recorded have no gradient and need none") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const other = filled<On<"x", "y">>(mesh, {3, 5}, 2, positive);
    auto const right = filled<On<"y", _>>(mesh, {5, 2}, 3, smooth);
    auto const a = filled<On<"x", "y">>(mesh, {3, 5}, 1, smooth);
    check_gradients([&](auto const& x) { return weighted(x * other); }, a);
    check_gradients([&](auto const& x) { return weighted(other / (x + 3) - other); }, a);
    check_gradients([&](auto const& x) { return weighted_sum(shard<Spec<"x", _>>(einsum<"ab,bc->ac">(x, right))); }, a);
    check_gradients([&](auto const& x) { return weighted_sum(shard<Spec<"x", _>>(einsum<"cb,ba->ca">(other, x))); },
                    filled<On<"y", _>>(mesh, {5, 2}, 1, smooth));
  });
}

TEST_CASE("linear functions of unreduced sums") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<_, "y", partial("x")>>(mesh, {3, 2}, 1, smooth);
    auto const b = filled<On<_, "y", partial("x")>>(mesh, {3, 2}, 2, smooth);
    check_gradients([](auto const& x, auto const& y) { return weighted(2 * x - y / 4); }, a, b);
    check_gradients([](auto const& x) { return weighted(-x); }, a);
    check_gradients([](auto const& x) { return sum(x); }, a);
  });
}

TEST_CASE("an unreduced sum times a whole tensor: the gradient of the whole one is reduced") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const sums = filled<On<_, "y", partial("x")>>(mesh, {3, 2}, 1, smooth);
    auto const whole = filled<On<_, "y">>(mesh, {3, 2}, 2, positive);
    check_gradients([](auto const& x, auto const& y) { return weighted(x * y); }, sums, whole);
    check_gradients([](auto const& x, auto const& y) { return weighted(y * x - x / y); }, sums, whole);
  });
}

TEST_CASE("sum and mean, of uneven shards too") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", "y">>(mesh, {3, 5}, 1, smooth);
    check_gradients([](auto const& x) { return sum(x); }, a);
    check_gradients([](auto const& x) { return mean(x); }, a);
    check_gradients([](auto const& x) { return 3 * mean(square(x)) + sum(x) * mean(x); }, a);
  });
}

// ---- The tape

TEST_CASE("a tensor that is used twice gets both gradients") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", _>>(mesh, {3, 3}, 1, smooth);
    check_gradients([](auto const& x) { return sum(x * x) + sum(exp(x)); }, a);
    check_gradients([](auto const& x) { return weighted_sum(eval(einsum<"ab,cb->ac">(x, movable(x)))); }, a);
    check_gradients([](auto const& x) { return sum(x + x); }, a);
  });
}

TEST_CASE("two uses of one gradient do not write into each other") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Tape tape;
  auto const a = tape.watch(filled<On<"x">>(mesh, {4}, 1));
  auto const b = tape.watch(filled<On<"x">>(mesh, {4}, 2));
  // a + b hands one gradient to both; a then gets more.
  tape.backward(sum(a + b) + sum(a));
  CHECK(difference(tape.gradient(a), {2, 2, 2, 2}) == "");
  CHECK(difference(tape.gradient(b), {1, 1, 1, 1}) == "");
}

TEST_CASE("the elements of a gradient are those of no other gradient, and not those of the seed") {
  on_every_mesh([](TwoAxes const& mesh) {
    using V = On<"x", "y">;
    V const a = filled<V>(mesh, {4, 3}, 1), b = filled<V>(mesh, {4, 3}, 2);
    Cotangent<V> const seed = filled<V>(mesh, {4, 3}, 3);
    Parameter<V> p{a, {}}, q{b, {}};
    {
      Tape tape;
      tape.backward(eval(tape.watch(p) + tape.watch(q)), seed);
    }
    Tape tape;
    auto const x = tape.watch(a), y = tape.watch(b);
    tape.backward(eval(x + y), seed);
    Cotangent<V> dx = tape.gradient(x);
    p.gradient *= 0.5;  // as clipping by hand does
    dx *= 0.5;
    std::vector<double> const whole = dense_values_of(seed, 3);
    std::vector<double> half = whole;
    for (double& value : half) value /= 2;
    CHECK(difference(p.gradient, half) == "");
    CHECK(difference(dx, half) == "");
    CHECK(difference(q.gradient, whole) == "");
    CHECK(difference(tape.gradient(y), whole) == "");
    CHECK(difference(seed, whole) == "");
  });
}

TEST_CASE("the gradient of a leaf without influence is zero") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Tape tape;
  auto const used = tape.watch(filled<On<"x">>(mesh, {4}, 1));
  auto const unused = tape.watch(filled<On<_, "y">>(mesh, {2, 3}, 1));
  auto const on_the_side = exp(unused);
  tape.backward(sum(used));
  CHECK(difference(tape.gradient(unused), std::vector<double>(6, 0.0)) == "");
  CHECK(on_the_side.value().size() == 6);
}

TEST_CASE("a parameter's gradients add up over passes until they are cleared") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Parameter<On<"x">> weight{filled<On<"x">>(mesh, {5}, 1, count_from_one), {}};
  CHECK_FALSE(weight.has_gradient());
  auto pass = [&] {
    Tape tape;
    tape.backward(sum(square(tape.watch(weight))));
  };
  pass();
  CHECK(difference(weight.gradient, {2, 4, 6, 8, 10}) == "");
  pass();
  CHECK(difference(weight.gradient, {4, 8, 12, 16, 20}) == "");
  weight.clear_gradient();
  CHECK_FALSE(weight.has_gradient());
  pass();
  CHECK(difference(weight.gradient, {2, 4, 6, 8, 10}) == "");
  CHECK(difference(weight.value, {1, 2, 3, 4, 5}) == "");
}

TEST_CASE("a parameter that is watched twice on one tape gets the sum") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Parameter<On<"x">> weight{filled<On<"x">>(mesh, {3}, 1, count_from_one), {}};
  Tape tape;
  auto const first = tape.watch(weight);
  auto const second = tape.watch(weight);
  tape.backward(sum(first * second));
  CHECK(difference(weight.gradient, {2, 4, 6}) == "");
}

TEST_CASE("backward from a tensor with its own gradient") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Tape tape;
  auto const x = tape.watch(filled<On<"x">>(mesh, {4}, 0, count_from_one));
  auto const y = square(x);
  tape.backward(y, filled<On<"x">>(mesh, {4}, 0, count_from_one));
  CHECK(difference(tape.gradient(x), {2, 8, 18, 32}) == "");
}

TEST_CASE("gradients of empty tensors are empty") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_gradients(
        [](auto const& x, auto const& w) { return weighted_sum(shard<Spec<"x", _>>(einsum<"ab,bc->ac">(x, w))); },
        filled<On<"x", "y">>(mesh, {2, 0}, 1, smooth), filled<On<"y", _>>(mesh, {0, 3}, 2, smooth));
    check_gradients([](auto const& x) { return weighted_sum(reshard<Spec<_, "x">>(eval(exp(x)))); },
                    filled<On<"x", "y">>(mesh, {0, 3}, 1, smooth));
  });
}
