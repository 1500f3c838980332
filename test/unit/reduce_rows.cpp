// SPDX-License-Identifier: Apache-2.0
// Operations along one dimension, split or not, against plain loops: argmax, cumulative sums, softmax and its relatives.
#include "reduce_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

/// The first of the largest.
double argmax_of(Values const& row) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < row.size(); ++i)
    if (row[i] > row[best]) best = i;
  return static_cast<double>(best);
}
double argmin_of(Values const& row) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < row.size(); ++i)
    if (row[i] < row[best]) best = i;
  return static_cast<double>(best);
}

template <class Tensor, class Kept, int Dimension>
void check_argmax(TwoAxes const& mesh) {
  // Small integers: most rows have ties.
  for (Extents const& extents : {Extents{4, 6, 8}, Extents{3, 5, 7}, Extents{1, 2, 1}, Extents{9, 11, 1}}) {
    auto const x = filled<Tensor>(mesh, extents, 1);
    auto const dense = dense_values(extents, 1);
    INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents), " along ", Dimension);
    auto const largest = argmax<Dimension>(x);
    static_assert(std::is_same_v<decltype(largest), ShardedTensor<TwoAxes, Kept, std::int64_t> const>);
    CHECK(difference(largest, reduced(extents, dense, {Dimension}, argmax_of)) == "");
    CHECK(difference(argmin<Dimension>(x), reduced(extents, dense, {Dimension}, argmin_of)) == "");
    CHECK(difference(argmax<Dimension>(-x), reduced(extents, dense, {Dimension}, argmin_of)) == "");
  }
}

}  // namespace

TEST_CASE("argmax and argmin along any dimension: global indices, the lowest of equals") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_argmax<On<"x", _, "y">, Spec<_, "y">, 0>(mesh);
    check_argmax<On<"x", _, "y">, Spec<"x", "y">, 1>(mesh);
    check_argmax<On<"x", _, "y">, Spec<"x", _>, 2>(mesh);
    check_argmax<On<_, "y,x", _>, Spec<_, _>, 1>(mesh);
    check_argmax<On<_, _, "x,y">, Spec<_, _>, 2>(mesh);
  });
}

TEST_CASE("C10: the largest along a split dimension is pairs of value and global index") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x,y"> const x(mesh, {4});
    fill(x, [](GlobalIndex<1> const& index) { return index[0] == 0 ? 1.0 : index[0] == 2 ? 2.0 : 5.0; });
    CHECK(difference(argmax<0>(x), {1}) == "");
    CHECK(difference(argmin<-1>(x), {0}) == "");
  });
}

TEST_CASE("argmax of minus infinity alone is 0, of NaN alone too; beside numbers NaN is passed over") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<_, "x,y"> const x(mesh, {3, 5});
    fill(x, [](GlobalIndex<2> const& index) { return index[0] == 0 ? -infinity : index[0] == 1 || index[1] != 3 ? std::nan("") : -7.0; });
    CHECK(difference(argmax<1>(x), {0, 0, 3}) == "");
  });
}

TEST_CASE("argmax of integers beyond 2^53") {
  using Numbers = ShardedTensor<TwoAxes, Spec<"x,y">, std::int64_t>;
  on_every_mesh([](TwoAxes const& mesh) {
    Numbers const x(mesh, {7});
    fill(x, [](GlobalIndex<1> const& index) { return (std::int64_t{1} << 60) + (index[0] == 4 ? 1 : 0); });
    CHECK(difference(argmax<0>(x), {4}) == "");
  });
}

TEST_CASE("argmax of long rows and columns") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{3, 70001}, Extents{70001, 3}}) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1, smooth);
      CHECK(difference(argmax<0>(x), reduced(extents, dense_values(extents, 1, 1, smooth), {0}, argmax_of)) == "");
      CHECK(difference(argmax<1>(x), reduced(extents, dense_values(extents, 1, 1, smooth), {1}, argmax_of)) == "");
    }
  });
}

TEST_CASE("argmax of an empty dimension: every rank throws, naming it; no results are none") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<"x", _> const empty(mesh, {0, 3}, "empty");
  std::string message;
  try {
    (void)argmax<0>(empty);
  } catch (ExtentError const& error) {
    message = error.what();
  }
  CHECK(message.find("argmax: dimension 0 of 'empty' (0, 3) is empty") != std::string::npos);
  CHECK(argmax<1>(empty).size() == 0);
  CHECK(argmax<0>(On<"x", _>(mesh, {0, 0})).size() == 0);
}

// ---- Cumulative sums -------------------------------------------------------------------------------------------------

namespace {

/// `function` of each row along a dimension, which gives a row of as many elements.
template <class Function>
Values along(Extents const& extents, Values const& values, int dimension, Function const& function) {
  std::int64_t inner = 1;
  for (int d = dimension + 1; d < extents.size(); ++d) inner *= extents[d];
  std::int64_t const length = extents[dimension];
  Values result(values.size());
  std::int64_t const rows = length == 0 ? 0 : static_cast<std::int64_t>(values.size()) / length;
  for (std::int64_t row = 0; row < rows; ++row) {
    auto const position = [&](std::int64_t k) { return static_cast<std::size_t>((row / inner * length + k) * inner + row % inner); };
    Values line;
    for (std::int64_t k = 0; k < length; ++k) line.push_back(values[position(k)]);
    Values const found = function(line);
    for (std::int64_t k = 0; k < length; ++k) result[position(k)] = found[static_cast<std::size_t>(k)];
  }
  return result;
}

Values inclusive(Values row) {
  for (std::size_t i = 1; i < row.size(); ++i) row[i] += row[i - 1];
  return row;
}
Values exclusive(Values const& row) {
  Values result(row.size(), 0);
  for (std::size_t i = 1; i < row.size(); ++i) result[i] = result[i - 1] + row[i - 1];
  return result;
}

template <class Tensor, int Dimension>
void check_scans(TwoAxes const& mesh) {
  for (Extents const& extents : shapes) {
    auto const x = filled<Tensor>(mesh, extents, 1);
    auto const dense = dense_values_of(x, 1);
    INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents), " along ", Dimension);
    auto const sums = cumulative_sum<Dimension>(x);
    static_assert(std::is_same_v<decltype(sums), Tensor const>);
    CHECK(difference(sums, along(extents, dense, Dimension, inclusive)) == "");
    CHECK(difference(cumulative_sum<Dimension>(x, Scan::exclusive), along(extents, dense, Dimension, exclusive)) == "");
  }
}

}  // namespace

TEST_CASE("cumulative sums along any dimension, whole or split over axes in either order") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_scans<On<"x", _, "y">, 0>(mesh);
    check_scans<On<"x", _, "y">, 1>(mesh);
    check_scans<On<"x", _, "y">, 2>(mesh);
    check_scans<On<_, "x,y", _>, 1>(mesh);
    check_scans<On<"y,x", _, _>, 0>(mesh);
    check_scans<On<"x", _, _, partial("y")>, 0>(mesh);
  });
}

TEST_CASE("C9: a cumulative sum does not begin anew on each shard") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x,y"> const ones(mesh, {8});
    fill(ones, [](GlobalIndex<1> const&) { return 1.0; });
    CHECK(difference(cumulative_sum<0>(ones), {1, 2, 3, 4, 5, 6, 7, 8}) == "");
    CHECK(difference(cumulative_sum<0>(ones, Scan::exclusive), {0, 1, 2, 3, 4, 5, 6, 7}) == "");
  });
}

TEST_CASE("cumulative sums of integers, of expressions, and of long rows and columns") {
  on_every_mesh([](TwoAxes const& mesh) {
    ShardedTensor<TwoAxes, Spec<"y,x">, std::int64_t> const numbers(mesh, {5});
    fill(numbers, [](GlobalIndex<1> const& index) { return (std::int64_t{1} << 54) + index[0]; });
    auto const sums = cumulative_sum<0>(2 * numbers);
    for (std::int64_t i = 0; i < sums.local_size(); ++i) {
      std::int64_t const n = sums.range(0).begin + i + 1;
      CHECK(sums.data()[i] == 2 * (n * (std::int64_t{1} << 54) + n * (n - 1) / 2));
    }
    for (Extents const& extents : {Extents{2, 200003}, Extents{200003, 2}, Extents{400, 700}}) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1);
      CHECK(difference(cumulative_sum<0>(x), along(extents, dense_values(extents, 1), 0, inclusive)) == "");
      CHECK(difference(cumulative_sum<1>(x), along(extents, dense_values(extents, 1), 1, inclusive)) == "");
      CHECK(difference(cumulative_sum<1>(x, Scan::exclusive), along(extents, dense_values(extents, 1), 1, exclusive)) == "");
    }
  });
}

TEST_CASE("cumulative sums of float are added up in double over all ranks") {
  Mesh<Axis<"x">> const mesh(runtime(), {ranks()});
  ShardedTensor<Mesh<Axis<"x">>, Spec<"x">> const many(mesh, {1 << 17});
  fill(many, [](GlobalIndex<1> const& index) { return index[0] == 0 ? 16777216.0 : 1.0; });
  auto const sums = cumulative_sum<0>(many);
  for (std::int64_t i = 0; i < sums.local_size(); ++i)
    if (sums.data()[i] != static_cast<float>(16777216.0 + static_cast<double>(sums.range(0).begin + i))) FAIL("element " << sums.range(0).begin + i);
  CHECK(sums.extents() == Extents{1 << 17});
}
