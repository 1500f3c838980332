// SPDX-License-Identifier: Apache-2.0
// Einsums of more than two operands: the same elements in every order of contraction, on every mesh.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <type_traits>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

/// The extents of a chain of matrices; each of the two orders is the cheaper one for some.
std::array<std::array<std::int64_t, 4>, 5> const chains = {
    {{4, 8, 4, 8}, {2, 7, 3, 9}, {9, 2, 7, 1}, {1, 2, 1, 1}, {3, 0, 4, 2}}};

template <class A, class B, class C, class Wrap>
void check_chain(TwoAxes const& mesh, Wrap const& wrap, auto const& hold) {
  for (auto const& [a, b, c, d] : chains) {
    auto const first = filled<A>(mesh, {a, b}, 1);
    auto const second = filled<B>(mesh, {b, c}, 2);
    auto const third = filled<C>(mesh, {c, d}, 3);
    std::vector<Dense> const dense{
        {{a, b}, dense_values_of(first, 1)}, {{b, c}, dense_values_of(second, 2)}, {{c, d}, dense_values_of(third, 3)}};
    auto const result = hold(einsum<"ab,bc,cd->ad">(first, wrap(second), wrap(third)));
    INFO("(", a, ", ", b, ", ", c, ", ", d, ") as ", gshard::detail::text_of<TwoAxes>(result.layout), " on mesh (",
         mesh.text(), ")");
    CHECK(result.extents() == Extents{a, d});
    CHECK(difference(result, dense_einsum("ab,bc,cd->ad", dense).values) == "");
  }
}

auto const as_it_is = [](auto const& operand) { return operand; };
auto const allowed_to_move = [](auto const& operand) { return movable(operand); };
auto const propagated = [](auto&& einsum) { return eval(std::forward<decltype(einsum)>(einsum)); };

template <class Spec>
struct Held {
  auto operator()(AnyRecipe auto&& einsum) const { return shard<Spec>(std::forward<decltype(einsum)>(einsum)); }
};

}  // namespace

TEST_CASE("chains of three matrices") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_chain<On<"x", _>, On<_, _>, On<_, _>>(mesh, as_it_is, propagated);
    check_chain<On<"x", _>, On<_, "y">, On<"y", _>>(mesh, as_it_is, Held<Spec<"x", _>>{});
    check_chain<On<"x", _>, On<_, "y">, On<"y", _>>(mesh, as_it_is, Held<Spec<"x", "y">>{});
    check_chain<On<_, "x">, On<"x", _>, On<"x", _>>(mesh, as_it_is, Held<Spec<_, _>>{});
    check_chain<On<"x", _>, On<_, _>, On<"x", _>>(mesh, as_it_is, Held<Spec<"y", "x">>{});
    check_chain<On<"x", _>, On<"x", "y">, On<"y,x", _>>(mesh, allowed_to_move, Held<Spec<"x", _>>{});
    check_chain<On<_, _, partial("x")>, On<_, "y">, On<"y", _>>(mesh, as_it_is, propagated);
    check_chain<On<_, _>, On<_, "x">, On<"x", _>>(mesh, as_it_is, Held<Spec<_, _, partial("x")>>{});
  });
}

TEST_CASE("the order is chosen by extents, the same for a declared and a propagated result") {
  using Chain = gshard::detail::Chain<"ab,bc,cd->ad", void, On<"x", _>, On<_, _>, On<_, _>>;
  static_assert(Chain::plan.orders.size() == 2);
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const order = [&](std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    return Chain::cheapest_order(On<"x", _>(mesh, {a, b}), On<_, _>(mesh, {b, c}), On<_, _>(mesh, {c, d}));
  };
  CHECK(Chain::plan.orders[order(10, 100, 5, 50)].steps[0].text == "ab,bc->ac");
  CHECK(Chain::plan.orders[order(100, 5, 50, 2)].steps[0].text == "bc,cd->bd");
}

TEST_CASE("what a chain sends is what the plan of the chosen order lists") {
  using A = On<"x", _>;
  using B = On<_, "y">;
  using C = On<"y", _>;
  constexpr ChainPlan const& plan = plan_of<"ab,bc,cd->ad", A, B, C, On<"x", _>>;
  static_assert(plan.orders.size() == 2);
  TwoAxes const mesh(runtime(), two_axis_shapes().back());
  Ledger& ledger = mesh.memory().ledger();
  for (auto const& [a, b, c, d] : {std::array<std::int64_t, 4>{24, 48, 24, 48}, {48, 24, 48, 24}}) {
    A const first(mesh, {a, b});
    B const second(mesh, {b, c});
    C const third(mesh, {c, d});
    int const order = gshard::detail::Chain<"ab,bc,cd->ad", On<"x", _>, A, B, C>::cheapest_order(first, second, third);
    ledger.open();
    ledger.clear();
    (void)shard<Spec<"x", _>>(einsum<"ab,bc,cd->ad">(first, second, third));
    ledger.close();
    INFO(std::string(plan.orders[order].steps[0].text), " first, on mesh (", mesh.text(), ")");
    CHECK(order == (a < b ? 0 : 1));
    CHECK(ledger.calls(Collective::all_reduce) == (mesh.size<"y">() > 1 ? plan.orders[order].all_reduce : 0));
    CHECK(ledger.calls(Collective::all_gather) + ledger.calls(Collective::all_to_all) +
              ledger.calls(Collective::reduce_scatter) ==
          0);
    CHECK(ledger.work().front().operation == "einsum " + std::string(plan.orders[order].steps[0].text));
  }
}

TEST_CASE("four operands and more, vectors, scalars, batches, and expressions among them") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", _>>(mesh, {3, 4}, 1);
    auto const b = filled<On<_, "y">>(mesh, {4, 5}, 2);
    auto const c = filled<On<"y", _>>(mesh, {5, 2}, 3);
    auto const d = filled<On<_, _>>(mesh, {2, 6}, 4);
    auto const e = filled<On<_>>(mesh, {6}, 5);
    auto const s = filled<On<>>(mesh, {}, 7);
    auto dense = [](auto const& tensor, std::int64_t seed) {
      return Dense{tensor.extents(), dense_values_of(tensor, seed)};
    };
    On<"x", _> const four = einsum<"ab,bc,cd,de->ae">(a, b, c, d);
    CHECK(difference(four,
                     dense_einsum("ab,bc,cd,de->ae", {dense(a, 1), dense(b, 2), dense(c, 3), dense(d, 4)}).values) ==
          "");
    On<"y"> const five = einsum<"ab,bc,cd,de,e->a">(a, b, c, d, e);
    CHECK(difference(five,
                     dense_einsum("ab,bc,cd,de,e->a", {dense(a, 1), dense(b, 2), dense(c, 3), dense(d, 4), dense(e, 5)})
                         .values) == "");
    CHECK(difference(einsum<",ab,bc->ac">(s, a, b).eval(),
                     dense_einsum(",ab,bc->ac", {dense(s, 7), dense(a, 1), dense(b, 2)}).values) == "");
    CHECK(difference(einsum<"ab,ab,ab->ab">(a, a, a).eval(),
                     dense_einsum("ab,ab,ab->ab", {dense(a, 1), dense(a, 1), dense(a, 1)}).values) == "");
    CHECK(difference(einsum<"bc,cd,ab->ad">(b, c, a).eval(),
                     dense_einsum("bc,cd,ab->ad", {dense(b, 2), dense(c, 3), dense(a, 1)}).values) == "");
    auto const doubled = dense_einsum("ab,bc,cd->ad", {dense(a, 1), dense(b, 2), dense(c, 3)});
    std::vector<double> expected = doubled.values;
    for (double& value : expected) value *= 2;
    CHECK(difference(einsum<"ab,bc,cd->ad">(2 * a, b, c).eval(), expected) == "");
    auto y = filled<On<"x", _>>(mesh, {3, 2}, 6);
    std::vector<double> sum = dense_values_of(y, 6);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += doubled.values[i];
    y += einsum<"ab,bc,cd->ad">(a, b, c);
    CHECK(difference(y, sum) == "");
    assign(y, einsum<"...b,bc,cd->...d">(a, b, c));
    CHECK(difference(y, doubled.values) == "");
  });
}

TEST_CASE("explain: the orders with their costs, and the contractions of the one that is taken") {
  if (ranks() >= 4)
    on_ranks(4, [](Runtime& four) {
      TwoAxes const mesh(four, {2, 2});
      On<"x", _> const a(mesh, {10, 100});
      On<_, "y"> const b(mesh, {100, 6});
      On<"y", _> const c(mesh, {6, 50});
      std::string const text = explain<"ab,bc,cd->ad">(a, b, c, On<"x", _>(mesh, {10, 50})).text;
      for (char const* part :
           {"einsum \"ab,bc,cd->ad\" of double on mesh (x=2, y=2)",
            "taken      ab,bc->ac     cd,ac->ad     9000 multiplications on all ranks, products of 60 elements",
            "dearer     bc,cd->bd     ab,bd->ad     80000 multiplications", "step 1 of 2: \"ab,bc->ac\"",
            "3000 flops per rank", "step 2 of 2: \"cd,ac->ad\"", "1500 flops per rank",
            "all-reduce over y, groups of 2: 2000 bytes sent per rank"})
        CHECK_MESSAGE(text.find(part) != std::string::npos, "'", part, "' is not in: ", text);
      // Each of the 5 rows meets both windows of 3 columns: 2 * 5 * 6 * 100.
      CHECK(explain<"ab,cb->ac">(a, in_ring(On<"x", _>(mesh, {6, 100}))).text.find("6000 flops per rank") !=
            std::string::npos);
      CHECK(explain<"ab,bc,cd->ad">(a, movable(b), c).text.find("taken      ab,bc->ac") != std::string::npos);
    });
  on_ranks(1, [](Runtime& one) {
    TwoAxes const mesh(one, {1, 1});
    CHECK(explain<"a,ab,b->">(On<_>(mesh, {3}), On<_, _>(mesh, {3, 9}), On<_>(mesh, {9}))
              .text.find("taken      ab,b->a") != std::string::npos);
  });
}

TEST_CASE("extents of a chain are checked before anything is contracted") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<"x", _> const a(mesh, {5, 4});
  On<_, _> const b(mesh, {4, 6});
  On<_, _> const c(mesh, {7, 3}, "third");
  CHECK_THROWS_WITH_AS(
      (einsum<"ab,bc,cd->ad">(a, b, c).eval()),
      doctest::Contains("einsum \"ab,bc,cd->ad\": letter 'c' has extent 6, but dimension 0 of operand 2 'third'"),
      ExtentError);
}

TEST_CASE("tapes of a chain are checked before anything is contracted") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const matrix = filled<On<_, _>>(mesh, {4, 4}, 1);
  Tape run, one, other;
  auto const finished = run.watch(matrix);
  run.backward(sum(finished));
  auto const first = one.watch(matrix), third = other.watch(matrix);
  Ledger& ledger = mesh.memory().ledger();
  ledger.open();
  ledger.clear();
  CHECK_THROWS_AS((void)eval(einsum<"ab,bc,cd->ad">(first, matrix, third)), StateError);
  CHECK_THROWS_AS((void)eval(einsum<"ab,bc,cd->ad">(matrix, matrix, movable(finished))), StateError);
  CHECK(ledger.work().empty());
  (void)eval(einsum<"ab,bc,cd->ad">(first, matrix, matrix));
  CHECK(!ledger.work().empty());
  ledger.close();
}

TEST_CASE("an intermediate product is released when the contraction that reads it is done") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<_, _>>(mesh, {32, 128}, 1);
  auto const w = filled<On<_, _>>(mesh, {128, 128}, 2);
  Ledger& ledger = mesh.memory().ledger();
  auto const peak_of = [&](auto const& first) {
    ledger.clear();
    std::int64_t const before = ledger.bytes_in_use();
    (void)eval(einsum<"ab,bc,cd,de->ae">(first, w, w, w));
    return ledger.peak_bytes() - before;
  };
  // Each step has its operand and its product, of 32 x 128 elements each.
  std::int64_t const two_products = 2 * 32 * 128 * static_cast<std::int64_t>(sizeof(double));
  CHECK(peak_of(x) == two_products);
  Tape tape;
  CHECK(peak_of(tape.watch(x)) == two_products);
}
