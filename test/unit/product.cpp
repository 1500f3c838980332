// SPDX-License-Identifier: Apache-2.0
// Products over dimensions and of all elements against plain loops, and their gradients, with and without zeros.
#include "central_differences.hpp"
#include "reduce_test.hpp"
#include "two_ledgers.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include <gshard/einsum.hpp>
#include <gshard/tensor/from_vector.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

double const NaN = std::numeric_limits<double>::quiet_NaN();

double product_of(Values const& row) {
  double product = 1;
  for (double element : row) product *= element;
  return product;
}

/// The derivative of the product of a row for each element: the product of the others, by loops over them.
Values products_of_others(Values const& row) {
  Values result;
  for (std::size_t i = 0; i < row.size(); ++i) {
    double others = 1;
    for (std::size_t k = 0; k < row.size(); ++k) others *= k == i ? 1 : row[k];
    result.push_back(others);
  }
  return result;
}

/// Numbers between 0.5 and 2, of both signs.
double away_from_zero(std::int64_t seed, std::int64_t position) {
  return std::exp2(smooth(seed, position)) * (smooth(seed + 5, position) < 0 ? -1 : 1);
}

/// The same, every third 0.
double with_zeros(std::int64_t seed, std::int64_t position) {
  return (position + seed) % 3 == 0 ? 0 : away_from_zero(seed, position);
}

/// A product of one type over some dimensions, with the spec that it propagates.
template <class Tensor, class Kept, int... Dimensions>
void check_product(TwoAxes const& mesh) {
  for (Extents const& extents : shapes)
    for (ValueOfPosition value : {away_from_zero, with_zeros}) {
      auto const x = filled<Tensor>(mesh, extents, 1, value);
      auto const dense = dense_values(extents, 1, 1, value);
      INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents));
      auto const products = eval(prod<Dimensions...>(x));
      static_assert(std::is_same_v<typename decltype(products)::spec_type, Kept>);
      CHECK(exact_difference(products, reduced(extents, dense, {Dimensions...}, product_of)) == "");
      CHECK(prod(x) == doctest::Approx(product_of(dense)).epsilon(1e-12));
    }
}

/// A product with a declared spec.
template <class Tensor, class Declared, int... Dimensions>
void check_declared(TwoAxes const& mesh) {
  for (Extents const& extents : {Extents{5, 7}, Extents{4, 8}, Extents{1, 1}, Extents{0, 3}, Extents{3, 0}}) {
    auto const x = filled<Tensor>(mesh, extents, 1, away_from_zero);
    auto const right = reduced(extents, dense_values(extents, 1, 1, away_from_zero), {Dimensions...}, product_of);
    INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents));
    with_spec<Tensor, Declared> const product = prod<Dimensions...>(x);
    CHECK(difference(product, right, 1e-14) == "");
    CHECK(difference(shard<Declared>(prod<Dimensions...>(-1 * (-x))), right, 1e-14) == "");
  }
}

/// The gradient of the sum of the products of all rows.
template <class T>
Values gradient_of_rows(TwoAxes const& mesh, std::vector<Values> const& elements) {
  Tape tape;
  auto const x = tape.watch(rows<T>(mesh, elements));
  tape.backward(sum(eval(prod<1>(x))));
  return collected(tape.gradient(x));
}

}  // namespace

// ---- Values

TEST_CASE("over one dimension or several, split or not: the others stay on their axes") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_product<On<_, _, _>, Spec<_, _>, 0>(mesh);
    check_product<On<"x", _, "y">, Spec<_, "y">, 0>(mesh);
    check_product<On<"x", _, "y">, Spec<"x", "y">, 1>(mesh);
    check_product<On<"x", _, "y">, Spec<"x", _>, 2>(mesh);
    check_product<On<_, "y,x", _>, Spec<_, _>, 1>(mesh);
    check_product<On<"x", _, "y">, Spec<_>, 0, 2>(mesh);
    check_product<On<"x", _, "y">, Spec<>, 0, 1, 2>(mesh);
  });
}

TEST_CASE("the declared spec is the annotation: whole, split otherwise, or an unreduced sum") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_declared<On<"x", "y">, Spec<"y">, 0>(mesh);
    check_declared<On<"x", "y">, Spec<_>, 0>(mesh);
    check_declared<On<"x", "y">, Spec<"x">, 0>(mesh);
    check_declared<On<"x", "y">, Spec<"x,y">, 1>(mesh);
    check_declared<On<"x", "y">, Spec<"x", partial("y")>, 1>(mesh);
    check_declared<On<"x", "y">, Spec<partial("x,y")>, 0, 1>(mesh);
    check_declared<On<_, "x">, Spec<"y">, 1>(mesh);
    check_declared<On<_, _>, Spec<"y">, 0>(mesh);
    check_declared<On<_, _>, Spec<"x,y">, 1>(mesh);
    check_declared<On<_, _>, Spec<_, partial("x")>, 1>(mesh);
  });
}

TEST_CASE("into tensors that exist, of expressions and einsums, and in expressions") {
  on_every_mesh([](TwoAxes const& mesh) {
    Extents const extents{5, 6};
    auto const x = filled<On<"x", "y">>(mesh, extents, 1, away_from_zero);
    auto const products = reduced(extents, dense_values(extents, 1, 1, away_from_zero), {0}, product_of);
    auto y = filled<On<"x">>(mesh, {6}, 2);
    assign(y, prod<0>(x));
    CHECK(difference(y, products, 1e-14) == "");
    y += 2 * prod<0>(reshard<Spec<_, "x">>(x));
    y -= prod<0>(x);
    auto const times = [&](double factor) {
      Values result = products;
      for (double& value : result) value *= factor;
      return result;
    };
    CHECK(difference(y, times(2), 1e-14) == "");
    CHECK(difference(eval(3 * prod<0>(x)), times(3), 1e-14) == "");
    CHECK(difference(eval(prod<0>(2 * x)), times(32), 1e-14) == "");
    CHECK(difference(eval(prod<1>(einsum<"ab->ba">(x))), products, 1e-14) == "");
    CHECK(prod(2 * x) == doctest::Approx(std::exp2(30) * product_of(products)));
    CHECK_THROWS_AS(assign(On<"x">(mesh, {7}), prod<0>(x)), ExtentError);
  });
}

TEST_CASE("long products are cut into parts") {
  on_every_mesh([](TwoAxes const& mesh) {
    // Signs, and some powers of 2, whose product is -3 * 2^20.
    auto const element = [](std::int64_t position) {
      return position == 100000 ? 3.0 : position % 5000 == 7 ? 2.0 : position % 64 == 1 ? -1.0 : 1.0;
    };
    double const right = -3 * std::exp2(20);
    On<_, "x"> const wide(mesh, {3, 100001});
    fill(wide, [&](GlobalIndex<2> const& index) { return element(index[1]); });
    CHECK(difference(eval(prod<1>(wide)), {right, right, right}) == "");
    On<"x", _> const tall(mesh, {100001, 3});
    fill(tall, [&](GlobalIndex<2> const& index) { return element(index[0]); });
    CHECK(difference(eval(prod<0>(tall)), {right, right, right}) == "");
    CHECK(prod(tall) == right * right * right);
  });
}

// ---- Element types

TEST_CASE("the product of integers is of 64 bits, and wraps around beyond") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const check = [&]<class T>(T) {
      auto const x = rows<T>(mesh, {{1 << 20, -3, 1 << 20, 1, 1}, {1, 2, 3, 4, 0}});
      auto const products = eval(prod<1>(x));
      static_assert(std::is_same_v<typename decltype(products)::value_type, std::int64_t>);
      static_assert(std::is_same_v<decltype(prod(x)), std::int64_t>);
      CHECK(difference(products, {-3 * std::exp2(40), 0}) == "");
      CHECK(prod(x) == 0);
      CHECK(prod(rows<T>(mesh, {{1 << 30, 1 << 30, 5, 1}})) == 5 * (std::int64_t{1} << 60));
      CHECK(prod(rows<T>(mesh, {{1 << 30, 1 << 30, 16, 1}})) == 0);
    };
    check(std::int32_t{});
    check(std::int64_t{});
  });
}

TEST_CASE("products of float and BFloat16 are kept and sent in double, and rounded once") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const check = [&]<class T>(T) {
      Values row;
      for (int i = 0; i < 24; ++i) row.push_back(static_cast<double>(T(i % 3 == 0 ? 1e-24F : 1e12F)));
      auto const x = rows<T>(mesh, {row});
      auto const product = eval(prod<1>(x));
      static_assert(std::is_same_v<typename decltype(product)::value_type, T>);
      static_assert(std::is_same_v<decltype(prod(x)), double>);
      CHECK(difference(product, {static_cast<double>(T(product_of(row)))}) == "");
      CHECK(prod(x) == doctest::Approx(product_of(row)).epsilon(1e-14));
    };
    check(float{});
    check(BFloat16{});
    // 1 + 1/128 is the smallest BFloat16 above 1: its powers are rounded away if each rank rounds its own.
    Values const near_one(12, 1.0078125);
    CHECK(difference(eval(prod<1>(rows<BFloat16>(mesh, {near_one}))),
                     {static_cast<double>(BFloat16(std::pow(1.0078125, 12)))}) == "");
  });
}

// ---- Special values

TEST_CASE("of nothing 1; NaN where an element is, or where 0 meets infinity, on whichever ranks they are") {
  on_every_mesh([](TwoAxes const& mesh) {
    CHECK(difference(eval(prod<0>(On<"x,y", _>(mesh, {0, 3}))), {1, 1, 1}) == "");
    CHECK(difference(eval(prod<0, 1>(On<"x", "y">(mesh, {3, 0}))), {1}) == "");
    CHECK(prod(On<"x,y">(mesh, {0})) == 1);
    CHECK(prod(ShardedTensor<TwoAxes, Spec<"x,y">, int>(mesh, {0})) == 1);
    auto const scalar = from_vector<On<>>(mesh, Extents{}, Values{7});
    CHECK(prod(scalar) == 7);
    CHECK(difference(eval(prod<1>(rows<double>(mesh, {{2, NaN, 1, 0, 1, 1, 1, 1},
                                                      {0, 1, 1, 1, 1, 1, 1, infinity},
                                                      {2, 1, 1, 1, 1, 1, -infinity, 1},
                                                      {2, 0, 1, 1, 1, 1, 0, 1}}))),
                     {NaN, NaN, -infinity, 0}) == "");
  });
}

// ---- Gradients

TEST_CASE("gradients of products against central differences, with and without zeros") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (ValueOfPosition value : {away_from_zero, with_zeros}) {
      auto const cube = filled<On<"x", _, "y">>(mesh, {3, 2, 5}, 1, value);
      check_gradients([](auto const& v) { return weighted_sum(eval(prod<0>(v))); }, cube);
      check_gradients([](auto const& v) { return weighted_sum(eval(prod<1, 2>(v))); }, cube);
      auto const x = filled<On<"x", "y">>(mesh, {3, 4}, 1, value);
      check_gradients([](auto const& v) { return prod(v); }, x);
      check_gradients([](auto const& v) { return prod(v * v + v); }, x);
      check_gradients([](auto const& v) { return weighted_sum(shard<Spec<"x">>(prod<0>(v))); }, x);
      check_gradients([](auto const& v) { return weighted_sum(shard<Spec<"x,y">>(prod<1>(v))); }, x);
      check_gradients([](auto const& v) { return weighted_sum(shard<Spec<"x", partial("y")>>(prod<1>(v))); }, x);
      check_gradients([](auto const& v) { return weighted_sum(shard<Spec<"y">>(prod<0>(v))); },
                      filled<On<_, _>>(mesh, {3, 4}, 1, value));
    }
  });
}

TEST_CASE("one zero of a row has the product of the others, and two have none, on whichever ranks they are") {
  on_every_mesh([](TwoAxes const& mesh) {
    std::int64_t const length = 2 * ranks();
    Values const plain(static_cast<std::size_t>(length), 2);
    std::vector<Values> elements{plain};
    for (std::size_t first = 0; first < plain.size(); ++first)
      for (std::size_t second = first; second < plain.size(); ++second) {
        elements.push_back(plain);
        elements.back()[first] = elements.back()[second] = 0;
      }
    elements.push_back(Values(plain.size(), 0));
    Values right;
    for (Values const& row : elements)
      for (double others : products_of_others(row)) right.push_back(others);
    CHECK(difference(gradient_of_rows<double>(mesh, elements), right) == "");
  });
}

TEST_CASE("gradients of float and BFloat16 are right where products of non-zeros leave their range") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const check = [&]<class T>(T, double tolerance) {
      double const large = static_cast<double>(T(1e30F)), small = static_cast<double>(T(1e-30F));
      std::vector<Values> const elements{{large, 1, 1, large, small, small}, {large, large, 0, small, small, 3}};
      Values right;
      for (Values const& row : elements)
        for (double others : products_of_others(row)) right.push_back(others);
      Values const found = gradient_of_rows<T>(mesh, elements);
      for (std::size_t i = 0; i < right.size(); ++i) {
        INFO(found[i], " instead of ", right[i]);
        CHECK(std::abs(found[i] - right[i]) <= tolerance * std::abs(right[i]));
      }
    };
    check(float{}, 1e-6);
    check(BFloat16{}, 1. / 128);
  });
}

TEST_CASE("gradients beside NaN and infinity are those of IEEE, and NaN at these elements") {
  on_every_mesh([](TwoAxes const& mesh) {
    CHECK(difference(gradient_of_rows<double>(mesh, {{2, NaN, 3, 1}, {infinity, 2, -1, 1}, {NaN, 0, 2, 1}}),
                     {NaN, NaN, NaN, NaN, NaN, -infinity, infinity, -infinity, NaN, NaN, NaN, NaN}) == "");
    CHECK(difference(gradient_of_rows<double>(mesh, {{0, infinity, 2, 1}, {0, 0, 2, infinity}}),
                     {infinity, NaN, NaN, NaN, NaN, NaN, NaN, NaN}) == "");
  });
}

TEST_CASE("gradients of empty and of whole tensors") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_gradients([](auto const& v) { return weighted_sum(eval(prod<0>(v))); }, On<"x", "y">(mesh, {3, 0}));
    check_gradients([](auto const& v) { return weighted_sum(eval(prod<1>(v))); }, On<"x", "y">(mesh, {3, 0}));
    check_gradients([](auto const& v) { return prod(v); }, filled<On<_, _>>(mesh, {2, 3}, 1, away_from_zero));
  });
}

// ---- Communication

TEST_CASE("one all-reduce forward, and one backward") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<"x", _>>(mesh, {8, 3}, 1, with_zeros);
  Ledger& ledger = runtime().ledger();
  int const each = mesh.size<"x">() == 1 ? 0 : 1;
  auto const counted = [&](auto const& action) {
    ledger.clear();
    ledger.open();
    action();
    ledger.close();
    CHECK(ledger.traffic().size() == static_cast<std::size_t>(each));
    return ledger.calls(Collective::all_reduce);
  };
  Tape tape;
  auto const v = tape.watch(x);
  CHECK(counted([&] { CHECK(std::isfinite(prod(x))); }) == each);
  CHECK(counted([&] { CHECK(eval(prod<0>(x)).size() == 3); }) == each);
  auto const products = eval(prod<0>(v));
  auto const gradient = filled<On<_>>(mesh, {3}, 2);
  CHECK(counted([&] { tape.backward(products, gradient); }) == each);
}

TEST_CASE("the ledger of a mesh without ranks has the same") {
  for (auto const& shape : two_axis_shapes()) {
    TwoMeshes<TwoAxes> meshes(shape);
    for (std::int64_t n : {8, 5, 1, 0})
      check_same_ledgers(meshes, [&]<class Space>(std::type_identity<Space>, TwoAxes const& mesh) {
        ShardedTensor<TwoAxes, Spec<"x", "y">, float, Space> const x(mesh, {n, 6});
        CHECK(prod(x) <= 1);
        CHECK(eval(prod<-1>(x)).size() == n);
        Tape tape;
        auto const v = tape.watch(x);
        tape.backward(prod(v) + sum(eval(prod<0>(v))) + sum(shard<Spec<"y">>(prod<1>(v))));
      });
  }
}

// ---- Mistakes

TEST_CASE("a tensor that is unset has no product") {
  On<"x", "y"> const unset;
  CHECK_THROWS_AS((void)prod(unset), StateError);
  CHECK_THROWS_AS((void)eval(prod<0>(unset)), StateError);
}
