// SPDX-License-Identifier: Apache-2.0
// Reshapes, gathers and scatters by index, and sorting, against plain vectors on every mesh of two axes.
#include "central_differences.hpp"
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;
template <AxisNames... Entries>
using Indices = ShardedTensor<TwoAxes, Spec<Entries...>, int>;

template <class Tensor>
std::string about(Tensor const& x) {
  return gshard::detail::concat(gshard::detail::text_of(x.extents()), " ",
                                gshard::detail::text_of<TwoAxes>(Tensor::layout), " on mesh (", x.mesh().text(), ")");
}

// ---- Reshapes

/// A reshape there, which keeps the elements in row-major order, and back.
template <class To, class From>
void check_reshape(TwoAxes const& mesh, Extents const& from, Extents const& to) {
  From const x = filled<From>(mesh, from, 1);
  std::vector<double> const elements = dense_values_of(x, 1);
  auto const y = reshape<To>(x, to);
  INFO("from ", about(x), " to ", about(y));
  CHECK(y.extents() == to);
  CHECK(difference(y, elements) == "");
  CHECK(difference(reshape<typename From::spec_type>(y, from), elements) == "");
}

struct Shapes {
  Extents matrix, line, cube;
};

}  // namespace

TEST_CASE("reshapes merge and split dimensions between any two specs") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Shapes const& shapes :
         {Shapes{{4, 12}, {48}, {4, 3, 4}}, Shapes{{3, 10}, {30}, {5, 2, 3}}, Shapes{{1, 6}, {6}, {2, 3, 1}},
          Shapes{{7, 5}, {35}, {1, 35, 1}}, Shapes{{0, 5}, {0}, {5, 0, 2}}}) {
      check_reshape<Spec<"x,y">, On<"x", "y">>(mesh, shapes.matrix, shapes.line);
      check_reshape<Spec<"x">, On<"x", _>>(mesh, shapes.matrix, shapes.line);
      check_reshape<Spec<"y">, On<"x", _>>(mesh, shapes.matrix, shapes.line);
      check_reshape<Spec<"x", _, "y">, On<"x", "y">>(mesh, shapes.matrix, shapes.cube);
      check_reshape<Spec<_, "x,y", _>, On<"y", _>>(mesh, shapes.matrix, shapes.cube);
      check_reshape<Spec<_, "y", _>, On<_, _>>(mesh, shapes.matrix, shapes.cube);
      check_reshape<Spec<_, _>, On<_, "x", "y">>(mesh, shapes.cube, shapes.matrix);
      check_reshape<Spec<"x", partial("y")>, On<_, "x", partial("y")>>(mesh, shapes.matrix, shapes.line);
    }
  });
}

TEST_CASE("C2: a view that crosses a split dimension moves what it has to") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = from_vector<On<_, "x">>(mesh, {2, 4}, std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7});
    CHECK(difference(reshape<Spec<"x", _>>(x, {4, 2}), {0, 1, 2, 3, 4, 5, 6, 7}) == "");
  });
}

TEST_CASE("fig. 5c: three rows over two ranks to six elements: one element moves") {
  on_ranks(std::min(2, ranks()), [](Runtime& part) {
    TwoAxes const mesh(part, {part.size(), 1});
    auto const x = from_vector<On<"x", _>>(mesh, {3, 2}, std::vector<double>{0, 1, 2, 3, 4, 5});
    part.ledger().open();
    auto const y = reshape<Spec<"x">>(x, {6});
    part.ledger().close();
    std::vector<double> const own(y.data(), y.data() + y.local_size());
    bool const alone = part.size() == 1;
    // Two rows are four elements, of which the first rank keeps three.
    CHECK(own == (alone              ? std::vector<double>{0, 1, 2, 3, 4, 5}
                  : part.rank() == 0 ? std::vector<double>{0, 1, 2}
                                     : std::vector<double>{3, 4, 5}));
    CHECK(part.ledger().bytes_sent() == (!alone && part.rank() == 0 ? 8 : 0));
  });
}

TEST_CASE("a reshape that every rank can do alone shares the elements; one of another number of elements is refused") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y", _>>(mesh, {4 * mesh.size(0), mesh.size(1), 6}, 1);
    CHECK(shares_elements(reshape<Spec<"x", "y", _, _>>(x, {4 * mesh.size(0), mesh.size(1), 2, 3}), x));
    CHECK_THROWS_WITH_AS((reshape<Spec<"x">>(x, {7})), doctest::Contains("elements, not the 7 of (7)"), ExtentError);
  });
}

// ---- Gathers and scatters

namespace {

/// Seven indices below `extent`, some of them equal; none where there is nothing to index.
std::vector<int> places_below(std::int64_t extent) {
  std::vector<int> places;
  for (int place : {3, 0, 3, 1, 5, 1, 9})
    if (extent > 0) places.push_back(place % static_cast<int>(extent));
  return places;
}

/// Rows by index.
template <class X, class Places>
void check_take(TwoAxes const& mesh, Extents const& extents) {
  X const x = filled<X>(mesh, extents, 1);
  std::vector<double> const elements = dense_values_of(x, 1);
  std::vector<int> const places = places_below(extents[0]);
  auto const indices = from_vector<Places>(mesh, {static_cast<std::int64_t>(places.size())}, places);
  std::vector<double> rows;
  for (int place : places)
    for (std::int64_t j = 0; j < extents[1]; ++j)
      rows.push_back(elements[static_cast<std::size_t>(place * extents[1] + j)]);
  INFO(about(x), " by indices ", gshard::detail::text_of<TwoAxes>(Places::layout));
  CHECK(difference(take<0>(x, indices), rows) == "");
}

template <class X, class Places, class Updates>
void check_scatter(TwoAxes const& mesh, Extents const& extents) {
  X const x = filled<X>(mesh, extents, 1);
  std::vector<double> sums = dense_values_of(x, 1);
  std::vector<int> const places = places_below(extents[1]);
  auto const indices = from_vector<Places>(mesh, {static_cast<std::int64_t>(places.size())}, places);
  Updates const updates = filled<Updates>(mesh, {extents[0], static_cast<std::int64_t>(places.size())}, 2);
  std::vector<double> const added = dense_values_of(updates, 2);
  for (std::int64_t i = 0; i < extents[0]; ++i)
    for (std::size_t k = 0; k < places.size(); ++k)
      sums[static_cast<std::size_t>(i * extents[1] + places[k])] +=
          added[static_cast<std::size_t>(i) * places.size() + k];
  INFO(about(x), " by indices ", gshard::detail::text_of<TwoAxes>(Places::layout));
  CHECK(difference(scatter_add<1>(x, indices, updates), sums) == "");
}

}  // namespace

TEST_CASE("slices by index, of whole and of split dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{6, 4}, Extents{5, 300}, Extents{1, 3}, Extents{0, 2}, Extents{10, 0}}) {
      check_take<On<_, _>, Indices<_>>(mesh, extents);
      check_take<On<_, "x">, Indices<"y">>(mesh, extents);
      check_take<On<"x", _>, Indices<"y">>(mesh, extents);
      check_take<On<"x,y", _>, Indices<_>>(mesh, extents);
      check_take<On<"y", "x">, Indices<_>>(mesh, extents);
    }
    static_assert(decltype(take<0>(On<"x", _>(), Indices<"y">()))::layout ==
                  layout_of<TwoAxes, Spec<"y", _, partial("x")>>);
  });
}

TEST_CASE("updates by index add up, also where indices repeat and are split over ranks") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{4, 6}, Extents{3, 1}, Extents{2, 0}}) {
      check_scatter<On<_, _>, Indices<_>, On<_, _>>(mesh, extents);
      check_scatter<On<"x", _>, Indices<"y">, On<"x", "y">>(mesh, extents);
      check_scatter<On<_, "x">, Indices<"y">, On<_, "y">>(mesh, extents);
      check_scatter<On<"y", "x">, Indices<_>, On<"y", _>>(mesh, extents);
    }
  });
}

TEST_CASE("the places of argmax are indices") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = from_vector<On<_, "x">>(mesh, {2, 3}, std::vector<double>{0, 7, 1, 5, 2, 2});
    CHECK(difference(take<0>(from_vector<On<_, "y">>(mesh, {3, 1}, std::vector<double>{10, 11, 12}), argmax<1>(x)),
                     {11, 10}) == "");
  });
}

TEST_CASE("indices and updates on another mesh are refused") {
  TwoAxes const mesh(runtime(), {ranks(), 1});
  TwoAxes const other(runtime(), {1, ranks()});
  auto const x = filled<On<_, _>>(mesh, {4, 2}, 1);
  Indices<"x"> const here(mesh, {8}, "here");
  Indices<"x"> const there(other, {8}, "there");
  On<"x", _> const updates(mesh, {8, 2});
  On<"x", _> const elsewhere(other, {8, 2}, "elsewhere");
  CHECK_THROWS_WITH_AS(take<0>(x, there), doctest::Contains("indices 'there' (8) on another one"), MeshError);
  CHECK_THROWS_WITH_AS(scatter_add<0>(x, there, updates), doctest::Contains("indices 'there' (8) on another one"),
                       MeshError);
  CHECK_THROWS_WITH_AS(scatter_add<0>(x, here, elsewhere),
                       doctest::Contains("updates 'elsewhere' (8, 2) on another one"), MeshError);
}

// ---- Sorting

namespace {

/// Equal elements among them.
double few_values(std::int64_t seed, std::int64_t position) { return static_cast<double>((position * 7 + seed) % 5); }

/// The places of the elements of a row or column, in order.
std::vector<double> sorted_places(Dense const& x, int dimension, bool descending) {
  std::vector<double> result(x.values.size());
  std::int64_t const n = x.extents[dimension];
  std::int64_t const step = dimension == 0 ? x.extents[1] : 1;
  for (std::int64_t line = 0; line < x.extents[1 - dimension]; ++line) {
    std::int64_t const start = dimension == 0 ? line : line * x.extents[1];
    auto value = [&](std::int64_t i) { return x.values[static_cast<std::size_t>(start + i * step)]; };
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(
        order, [&](std::int64_t a, std::int64_t b) { return descending ? value(a) > value(b) : value(a) < value(b); });
    for (std::int64_t i = 0; i < n; ++i)
      result[static_cast<std::size_t>(start + i * step)] = static_cast<double>(order[static_cast<std::size_t>(i)]);
  }
  return result;
}

template <int Dimension, class X>
void check_sorting(TwoAxes const& mesh, Extents const& extents) {
  X const x = filled<X>(mesh, extents, 1, few_values);
  Dense const dense{extents, dense_values_of(x, 1, few_values)};
  std::int64_t const step = Dimension == 0 ? extents[1] : 1;
  auto values_at = [&](std::vector<double> const& order) {
    std::vector<double> values;
    for (std::size_t i = 0; i < order.size(); ++i) {
      std::int64_t const along = static_cast<std::int64_t>(i) / step % extents[Dimension];
      values.push_back(dense.values[static_cast<std::size_t>(static_cast<std::int64_t>(i) +
                                                             (static_cast<std::int64_t>(order[i]) - along) * step)]);
    }
    return values;
  };
  INFO(about(x), " along ", Dimension);
  for (Order order : {Order::ascending, Order::descending}) {
    std::vector<double> const expected = sorted_places(dense, Dimension, order == Order::descending);
    CHECK(difference(argsort<Dimension>(x, order), expected) == "");
    CHECK(difference(sort<Dimension>(x, order), values_at(expected)) == "");
  }
  std::int64_t const count = extents[Dimension] / 2;
  std::vector<double> const all = sorted_places(dense, Dimension, true);
  std::vector<double> const all_values = values_at(all);
  std::vector<double> first;
  std::vector<double> first_values;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (static_cast<std::int64_t>(i) / step % extents[Dimension] < count) {
      first.push_back(all[i]);
      first_values.push_back(all_values[i]);
    }
  auto const top = top_k<Dimension>(x, count);
  CHECK(difference(top.indices, first) == "");
  CHECK(difference(top.values, first_values) == "");
}

}  // namespace

TEST_CASE("sorting along whole dimensions keeps equal elements in order; the largest come with their places") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents :
         {Extents{5, 8}, Extents{1, 13}, Extents{3, 36}, Extents{4, 1}, Extents{0, 3}, Extents{3, 0}}) {
      check_sorting<1, On<"x,y", _>>(mesh, extents);
      check_sorting<0, On<_, "y">>(mesh, extents);
      check_sorting<1, On<_, _>>(mesh, extents);
    }
    CHECK_THROWS_WITH_AS(top_k<1>(filled<On<"x", _>>(mesh, {2, 3}, 1), 4),
                         doctest::Contains("there are no 4 elements in dimension 1"), ExtentError);
  });
}

TEST_CASE("NaN is above all others: last in ascending order, first in descending order, and its first is argmax") {
  on_every_mesh([](TwoAxes const& mesh) {
    double const nan = std::numeric_limits<double>::quiet_NaN();
    auto const x =
        from_vector<On<"x", _>>(mesh, {2, 6}, std::vector<double>{nan, 2, nan, 5, 1, 5, 3, nan, 4, nan, nan, 4});
    CHECK(difference(argsort<1>(x), {4, 1, 3, 5, 0, 2, 0, 2, 5, 1, 3, 4}) == "");
    CHECK(difference(argsort<1>(x, Order::descending), {0, 2, 3, 5, 1, 4, 1, 3, 4, 2, 5, 0}) == "");
    auto const top = top_k<1>(x, 1);
    CHECK(difference(top.values, {nan, nan}) == "");
    CHECK(difference(top.indices, {0, 1}) == "");
    CHECK(difference(argmax<1>(x), {0, 1}) == "");
  });
}

// ---- Gradients

TEST_CASE("gradients of reshapes, gathers, scatters and sorting") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const indices = from_vector<Indices<_>>(mesh, {4}, std::vector<int>{2, 0, 2, 1});
    auto const split = from_vector<Indices<"y">>(mesh, {4}, std::vector<int>{2, 0, 2, 1});
    auto const x = filled<On<"x", _>>(mesh, {3, 4}, 1, smooth);
    check_gradients([](auto const& a) { return weighted_sum(reshape<Spec<_, "y", "x">>(a, {2, 3, 2})); }, x);
    check_gradients([&](auto const& a) { return weighted_sum(take<1>(a, indices)); }, x);
    check_gradients([&](auto const& a) { return weighted_sum(take<1>(a, split)); }, x);
    check_gradients([&](auto const& a) { return weighted_sum(take<0>(a, split)); }, x);
    check_gradients([&](auto const& a, auto const& u) { return weighted_sum(scatter_add<1>(a, split, u)); }, x,
                    filled<On<"x", "y">>(mesh, {3, 4}, 2, smooth));
    check_gradients([&](auto const& a, auto const& u) { return weighted_sum(scatter_add<0>(a, indices, u)); }, x,
                    filled<On<_, _>>(mesh, {4, 4}, 2, smooth));
    check_gradients([](auto const& a) { return weighted_sum(sort<1>(a, Order::descending)); }, x);
    check_gradients([](auto const& a) { return weighted_sum(top_k<1>(a, 2).values); }, x);
  });
}
