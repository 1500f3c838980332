// SPDX-License-Identifier: Apache-2.0
// The forms of an einsum beside its table (einsum.cpp): `...` for dimensions without a letter, and results that are
// there already.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <limits>
#include <type_traits>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

/// The dense values of einsum operands that were filled with the seeds 1, 2, ...
template <class... Tensors>
std::vector<double> expected_of(std::string_view subscripts, Tensors const&... tensors) {
  std::int64_t seed = 0;
  std::vector<Dense> operands;
  (operands.push_back({tensors.extents(), dense_values_of(tensors, ++seed)}), ...);
  return dense_einsum(subscripts, operands).values;
}

}  // namespace

// ---- Ellipsis

TEST_CASE("one linear layer for inputs of any number of leading dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const w = filled<On<_, "y">>(mesh, {5, 3}, 2);
    auto const rows = filled<On<"x", _>>(mesh, {4, 5}, 1);
    auto const groups = filled<On<"x", _, _, _>>(mesh, {3, 2, 4, 5}, 1);
    CHECK(difference(einsum<"...b,bc->...c">(rows, w).eval(), expected_of("ab,bc->ac", rows, w)) == "");
    auto const result = einsum<"...b,bc->...c">(groups, w).eval();
    static_assert(std::is_same_v<decltype(result)::spec_type, Spec<"x", _, _, "y">>);
    CHECK(difference(result, expected_of("ghab,bc->ghac", groups, w)) == "");
  });
}

TEST_CASE("leading dimensions of both operands are the same, aligned at the last one") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", _, "y", _>>(mesh, {3, 2, 4, 5}, 1);
    auto const b = filled<On<_, _, _>>(mesh, {2, 5, 3}, 2);
    On<_, "x", "y", _> const result = einsum<"...ab,...bc->...ac">(a, b);
    CHECK(difference(result, expected_of("ghab,hbc->ghac", a, b)) == "");
    CHECK(difference(einsum<"...ab->...ba">(a).eval(), expected_of("ghab->ghba", a)) == "");
    CHECK(difference(einsum<"...b->b">(a).eval(), expected_of("ghab->b", a)) == "");
  });
}

TEST_CASE("the plan of an einsum with leading dimensions") {
  static_assert(plan_of<"...b,bc->...c", On<"x", _, _>, On<"y", _>>.all_reduce == 1);
  static_assert(plan_of<"...b,bc->...c", On<"x", _, _>, On<_, _>, On<_, _, "x">>.all_to_all == 1);
  static_assert(plan_of<"...ab->...ba", On<"x", _, _>, On<"x", _, _>>.total() == 0);
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  std::string const text = explain<"...b,bc->...c">(On<"x", _, _>(mesh, {2, 3, 4}), On<_, _>(mesh, {4, 5})).text;
  CHECK_MESSAGE(text.find("ABc") != std::string::npos, text);
}

TEST_CASE("gradients pass through leading dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const x = tape.watch(filled<On<"x", _, _>>(mesh, {3, 2, 4}, 1));
    auto const w = tape.watch(filled<On<_, "y">>(mesh, {4, 5}, 2));
    auto const result = eval(einsum<"...b,bc->...c">(x, w));
    auto const seed = filled<On<"x", _, "y">>(mesh, {3, 2, 5}, 3);
    tape.backward(result, seed);
    Dense const dense_seed{seed.extents(), dense_values_of(seed, 3)};
    CHECK(difference(
              tape.gradient(w),
              dense_einsum("gab,gac->bc", {{x.value().extents(), dense_values_of(x.value(), 1)}, dense_seed}).values) ==
          "");
    CHECK(difference(
              tape.gradient(x),
              dense_einsum("gac,bc->gab", {dense_seed, {w.value().extents(), dense_values_of(w.value(), 2)}}).values) ==
          "");
  });
}

// ---- Into tensors that exist

namespace {

double not_a_number(std::int64_t, std::int64_t) { return std::numeric_limits<double>::quiet_NaN(); }

/// Rows of additions: y += a b for each pair of specs, whatever has to move, with even, uneven, tiny and empty extents.
template <class Y, class A, class B>
void check_update(TwoAxes const& mesh) {
  for (std::array<std::int64_t, 3> const& extents :
       {std::array<std::int64_t, 3>{4, 8, 4}, {5, 7, 3}, {1, 2, 1}, {3, 0, 4}, {0, 3, 4}}) {
    // Clang 17 captures no structured bindings.
    std::int64_t const rows = extents[0], inner = extents[1], columns = extents[2];
    INFO(gshard::detail::text_of<TwoAxes>(Y::layout), " of (", rows, ", ", inner, ", ", columns, ") on mesh (",
         mesh.text(), ")");
    auto const a = filled<A>(mesh, {rows, inner}, 1);
    auto const b = filled<B>(mesh, {inner, columns}, 2);
    auto y = filled<Y>(mesh, {rows, columns}, 3);
    auto const before = dense_values_of(y, 3);
    auto const product = expected_of("ab,bc->ac", a, b);
    std::vector<double> sum, difference_of;
    for (std::size_t i = 0; i < before.size(); ++i) {
      sum.push_back(before[i] + product[i]);
      difference_of.push_back(before[i] - 2 * product[i]);
    }
    double const* const place = y.data();
    y += einsum<"ab,bc->ac">(a, b);
    CHECK(difference(y, sum) == "");
    (y -= einsum<"ab,bc->ac">(a, b)) -= einsum<"ab,bc->ac">(a, b);
    y -= shard<typename Y::spec_type>(einsum<"ab,bc->ac">(a, b));
    CHECK(difference(y, difference_of) == "");
    fill_by_position(y, 0, not_a_number);
    assign(y, einsum<"ab,bc->ac">(a, b));
    CHECK_MESSAGE(difference(y, product) == "", "F2: what the result held is not read");
    CHECK_MESSAGE(y.data() == place, "in the elements that were there");
  }
}

}  // namespace

TEST_CASE(
    "y += a b, y -= a b, and a b assigned to y: where nothing moves after the product, and where something does") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_update<On<_, _>, On<_, _>, On<_, _>>(mesh);
    check_update<On<"x", "y">, On<"x", _>, On<_, "y">>(mesh);
    check_update<On<_, _>, On<_, "x">, On<"x", _>>(mesh);
    check_update<On<"y", "x">, On<_, "x">, On<"x", _>>(mesh);
    check_update<On<_, _, partial("x,y")>, On<_, "x,y">, On<"x,y", _>>(mesh);
    check_update<On<"y", _>, On<"x", _>, On<_, "y">>(mesh);
  });
}

TEST_CASE("an unreduced sum collects products and is reduced once") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<_, "x">>(mesh, {5, 6}, 1);
    auto const b = filled<On<"x", _>>(mesh, {6, 3}, 2);
    static_assert(plan_of<"ab,bc->ac", On<_, "x">, On<"x", _>, On<_, _, partial("x")>>.total() == 0);
    On<_, _, partial("x")> y(mesh, {5, 3});
    for (int step = 0; step < 3; ++step) y += einsum<"ab,bc->ac">(a, b);
    auto expected = expected_of("ab,bc->ac", a, b);
    for (double& value : expected) value *= 3;
    CHECK(difference(y, expected) == "");
    CHECK(difference(replicate(y), expected) == "");
  });
}

TEST_CASE("F1: k = 0 contracts to zeros, and adds nothing") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x", _> const a(mesh, {2, 0});
    On<_, "y"> const b(mesh, {0, 2});
    auto c = from_vector<On<"x", "y">>(mesh, {2, 2}, std::vector<double>{1, 2, 3, 4});
    c *= 2;
    c += einsum<"ab,bc->ac">(a, b);
    CHECK(to_vector(c) == std::vector<double>{2, 4, 6, 8});
    assign(c, einsum<"ab,bc->ac">(a, b));
    CHECK(to_vector(c) == std::vector<double>{0, 0, 0, 0});
  });
}

TEST_CASE("F2: the unit matrix squared, k split, into a result of NaN") {
  on_every_mesh([](TwoAxes const& mesh) {
    std::vector<double> const unit{1, 0, 0, 1};
    auto const a = from_vector<On<_, "x">>(mesh, {2, 2}, unit);
    auto const b = from_vector<On<"x", _>>(mesh, {2, 2}, unit);
    auto const c = filled<On<_, _>>(mesh, {2, 2}, 0, not_a_number);
    assign(c, einsum<"ab,bc->ac">(a, b));
    CHECK(to_vector(c) == unit);
  });
}

TEST_CASE("F3: the transpose of a matrix that is not square") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = from_vector<On<"x", _>>(mesh, {3, 2}, std::vector<double>{1, 2, 3, 4, 5, 6});
    auto const ones = from_vector<On<"x", _>>(mesh, {3, 2}, std::vector<double>(6, 1.0));
    CHECK(to_vector(einsum<"ka,kb->ab">(a, ones).eval()) == std::vector<double>{9, 9, 12, 12});
  });
}

TEST_CASE("F12: added to, with the second operand transposed") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = from_vector<On<_, "x">>(mesh, {2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
    auto const b = from_vector<On<_, "x">>(mesh, {1, 3}, std::vector<double>{1, 0, 1});
    auto c = from_vector<On<_, _>>(mesh, {2, 1}, std::vector<double>{10, 20});
    c += einsum<"ab,cb->ac">(a, b);
    CHECK(to_vector(c) == std::vector<double>{14, 30});
  });
}

TEST_CASE("an operand may be the result") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto y = from_vector<On<"x", _>>(mesh, {2, 2}, std::vector<double>{1, 2, 3, 4});
    auto const w = from_vector<On<_, _>>(mesh, {2, 2}, std::vector<double>{0, 1, 1, 0});
    y += einsum<"ab,bc->ac">(y, w);
    CHECK(to_vector(y) == std::vector<double>{3, 3, 7, 7});
    assign(y, einsum<"ab,bc->ac">(y, w));
    CHECK(to_vector(y) == std::vector<double>{3, 3, 7, 7});
    assign(y, einsum<"ab->ab">(y));
    CHECK(to_vector(y) == std::vector<double>{3, 3, 7, 7});
  });
}

TEST_CASE("a result that does not fit is refused before anything is sent") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<"x", _> const a(mesh, {5, 4});
  On<_, "y"> const b(mesh, {4, 6});
  On<"x", "y"> narrow(mesh, {5, 5}, "narrow");
  CHECK_THROWS_WITH_AS((narrow += einsum<"ab,bc->ac">(a, b)),
                       doctest::Contains("gives extents (5, 6), which are not those of result 'narrow' (5, 5)"),
                       ExtentError);
  On<"x", "y"> unset;
  CHECK_THROWS_WITH_AS(assign(unset, einsum<"ab,bc->ac">(a, b)), doctest::Contains("result (unset)"), StateError);
}

// ---- Extents that types fix

TEST_CASE("extents that the types of operands or result fix stay fixed in the result") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<extent("x", 5), extent(4)>>(mesh, {5, 4}, 1);
    auto const b = filled<On<_, "y">>(mesh, {4, 6}, 2);
    auto const c = filled<On<extent("y", 6), extent(3)>>(mesh, {6, 3}, 3);
    auto const product = einsum<"ab,bc->ac">(a, b).eval();
    static_assert(std::is_same_v<decltype(product), On<extent("x", 5), "y"> const>);
    CHECK(difference(product, expected_of("ab,bc->ac", a, b)) == "");
    On<"x", extent(6)> const declared = einsum<"ab,bc->ac">(a, b);
    static_assert(std::is_same_v<decltype(shard<Spec<"x", extent(6)>>(einsum<"ab,bc->ac">(a, b))),
                                 On<extent("x", 5), extent(6)>>);
    CHECK(difference(declared, expected_of("ab,bc->ac", a, b)) == "");
    auto const chained = einsum<"ab,bc,cd->ad">(a, b, c).eval();
    static_assert(std::is_same_v<decltype(chained), On<extent("x", 5), extent(3)> const>);
    CHECK(difference(chained, expected_of("ab,bc,cd->ad", a, b, c)) == "");
    CHECK_THROWS_AS(((void)shard<Spec<"x", extent(7)>>(einsum<"ab,bc->ac">(a, b))), ExtentError);
    Tape tape;
    auto const x = tape.watch(a);
    tape.backward(sum(eval(einsum<"ab,bc->ac">(x, b))));
    CHECK(tape.gradient(x).extents() == Extents{5, 4});
  });
}

// ---- Integers

namespace {

template <class T>
void check_integers(TwoAxes const& mesh) {
  using Rows = ShardedTensor<TwoAxes, Spec<"x", _>, T>;
  using Columns = ShardedTensor<TwoAxes, Spec<_, "y">, T>;
  using Square = ShardedTensor<TwoAxes, Spec<_, _>, T>;
  auto const positive = [](std::int64_t, std::int64_t position) { return static_cast<double>(position % 3); };
  auto const values = [&](auto const& tensor) {
    return Dense{tensor.extents(), dense_values(tensor.extents(), 0, 1, positive)};
  };
  for (Extents const& extents : {Extents{4, 8}, Extents{5, 7}, Extents{1, 2}, Extents{3, 0}}) {
    auto const a = filled<Rows>(mesh, extents, 0, positive);
    auto const b = filled<Columns>(mesh, {extents[1], extents[0]}, 0, positive);
    auto const square = filled<Square>(mesh, {extents[0], extents[0]}, 0, positive);
    INFO(sizeof(T), " bytes ", gshard::detail::text_of(extents), " on mesh (", mesh.text(), ")");
    CHECK(difference(einsum<"ab->ba">(a).eval(), dense_einsum("ab->ba", {values(a)}).values) == "");
    CHECK(difference(shard<Spec<"y">>(einsum<"ab->b">(a)), dense_einsum("ab->b", {values(a)}).values) == "");
    CHECK(difference(einsum<"ab->">(a).eval(), dense_einsum("ab->", {values(a)}).values) == "");
    CHECK(difference(einsum<"aa->a">(square).eval(), dense_einsum("aa->a", {values(square)}).values) == "");
    CHECK(difference(einsum<"ab,bc->ac">(a, b).eval(), dense_einsum("ab,bc->ac", {values(a), values(b)}).values) == "");
  }
}

}  // namespace

TEST_CASE("einsums of integers, of one operand and of two") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_integers<std::int32_t>(mesh);
    check_integers<std::int64_t>(mesh);
    check_integers<std::uint8_t>(mesh);
  });
}
