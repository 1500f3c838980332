// SPDX-License-Identifier: Apache-2.0
// Operations along one dimension, split or not, against plain loops: argmax, cumulative sums, softmax and its
// relatives.
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

TEST_CASE("argmax of minus infinity alone is 0, of NaN alone too; beside numbers it is the first NaN") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<_, "x,y"> const x(mesh, {3, 5});
    fill(x, [](GlobalIndex<2> const& index) {
      return index[0] == 0 ? -infinity : index[0] == 1 || index[1] % 2 == 1 ? std::nan("") : infinity;
    });
    CHECK(difference(argmax<1>(x), {0, 0, 1}) == "");
    CHECK(difference(argmin<1>(x), {0, 0, 1}) == "");
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

// ---- Cumulative sums

namespace {

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
      CHECK(difference(cumulative_sum<1>(x, Scan::exclusive), along(extents, dense_values(extents, 1), 1, exclusive)) ==
            "");
    }
  });
}

TEST_CASE("cumulative sums of float are added up in double over all ranks") {
  Mesh<Axis<"x">> const mesh(runtime(), {ranks()});
  ShardedTensor<Mesh<Axis<"x">>, Spec<"x">> const many(mesh, {1 << 17});
  fill(many, [](GlobalIndex<1> const& index) { return index[0] == 0 ? 16777216.0 : 1.0; });
  auto const sums = cumulative_sum<0>(many);
  for (std::int64_t i = 0; i < sums.local_size(); ++i)
    if (sums.data()[i] != static_cast<float>(16777216.0 + static_cast<double>(sums.range(0).begin + i)))
      FAIL("element " << sums.range(0).begin + i);
  CHECK(sums.extents() == Extents{1 << 17});
}

// ---- Softmax

namespace {

/// Far apart, so that the largest has to come off first; some are minus infinity.
double scores_of(std::int64_t seed, std::int64_t position) {
  return position % 4 == 1 ? -infinity : 900 * smooth(seed, position);
}

template <class Tensor, class Kept, int Dimension>
void check_softmax(TwoAxes const& mesh) {
  for (Extents const& extents : shapes) {
    auto const x = filled<Tensor>(mesh, extents, 1, scores_of);
    auto const dense =
        dense_values(extents, 1, 1, [](std::int64_t seed, std::int64_t position) { return scores_of(seed, position); });
    INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents), " along ", Dimension);
    auto const weights = softmax<Dimension>(x);
    static_assert(std::is_same_v<decltype(weights), Tensor const>);
    CHECK(exact_difference(weights, along(extents, dense, Dimension, softmax_of)) == "");
    CHECK(exact_difference(log_softmax<Dimension>(x), along(extents, dense, Dimension, log_softmax_of)) == "");
    auto const sums = log_sum_exp<Dimension>(x);
    static_assert(std::is_same_v<typename decltype(sums)::spec_type, Kept>);
    CHECK(exact_difference(sums, reduced(extents, dense, {Dimension}, log_sum_exp_of)) == "");
  }
}

}  // namespace

TEST_CASE("softmax, log_softmax and log_sum_exp along any dimension, split or not; minus infinity has no weight") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_softmax<On<"x", _, "y">, Spec<_, "y">, 0>(mesh);
    check_softmax<On<"x", _, "y">, Spec<"x", "y">, 1>(mesh);
    check_softmax<On<"x", _, "y">, Spec<"x", _>, 2>(mesh);
    check_softmax<On<"x", "y", _>, Spec<"x", "y">, 2>(mesh);
    check_softmax<On<_, "y,x", _>, Spec<_, _>, 1>(mesh);
  });
}

TEST_CASE("C11: the largest of all ranks comes off, not the sum of their largest") {
  using Scores = ShardedTensor<TwoAxes, Spec<"x,y">, float>;
  on_every_mesh([](TwoAxes const& mesh) {
    Scores const x(mesh, {4});
    fill(x, [](GlobalIndex<1> const& index) { return index[0] == 0 ? 200.0f : index[0] == 2 ? 150.0f : 0.0f; });
    auto const found = to_vector(softmax<0>(x));
    CHECK(found[0] == 1);
    CHECK(found[1] == 0);
    CHECK(static_cast<double>(found[2]) == doctest::Approx(1.9287498479639178e-22).epsilon(1e-6));
    CHECK(found[3] == 0);
    CHECK(to_vector(log_sum_exp<0>(x)) == std::vector<float>{200});
    CHECK(to_vector(log_softmax<0>(x)) == std::vector<float>{0, -200, -50, -200});
  });
}

TEST_CASE("a row that is masked altogether has no weights: NaN, and the logarithm of its sum is minus infinity") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<_, "x,y"> const x(mesh, {2, 3});
    fill(x, [](GlobalIndex<2> const& index) { return index[0] == 0 ? -infinity : 0.0; });
    double const nan = std::nan(""), third = std::log(3.0);
    CHECK(difference(softmax<1>(x), {nan, nan, nan, 1. / 3, 1. / 3, 1. / 3}, 1e-15) == "");
    CHECK(difference(log_sum_exp<1>(x), {-infinity, third}) == "");
    CHECK(difference(log_softmax<1>(x), {nan, nan, nan, -third, -third, -third}) == "");
    auto const whole = replicate(x);
    CHECK(difference(softmax<1>(whole), {nan, nan, nan, 1. / 3, 1. / 3, 1. / 3}, 1e-15) == "");
    CHECK(difference(softmax<0>(whole), {0, 0, 0, 1, 1, 1}) == "");
  });
}

TEST_CASE("softmax of expressions, of float and BFloat16, and of few long rows") {
  on_every_mesh([](TwoAxes const& mesh) {
    Extents const extents{3, 20000};
    auto const x = filled<On<_, "x">>(mesh, extents, 1, smooth);
    auto const dense = dense_values(extents, 1, 1, smooth);
    CHECK(difference(softmax<1>(x * 3),
                     along(extents, dense, 1,
                           [](Values row) {
                             for (double& v : row) v *= 3;
                             return softmax_of(row);
                           }),
                     1e-14) == "");
    auto const whole = replicate(x);
    CHECK(difference(softmax<-1>(whole), along(extents, dense, 1, softmax_of), 1e-14) == "");
    ShardedTensor<TwoAxes, Spec<"y", "x">, float> const single(mesh, {5, 40});
    fill_by_position(single, 1, smooth);
    auto const right = dense_values({5, 40}, 1, 1, smooth);
    CHECK(difference(softmax<0>(single), along({5, 40}, right, 0, softmax_of), 1e-6) == "");
    CHECK(difference(softmax<1>(single), along({5, 40}, right, 1, softmax_of), 1e-6) == "");
    ShardedTensor<TwoAxes, Spec<"y", "x">, BFloat16> const half(mesh, {2, 4});
    fill_by_position(half, 1);
    static_assert(std::is_same_v<decltype(softmax<1>(half)), ShardedTensor<TwoAxes, Spec<"y", "x">, BFloat16>>);
    CHECK(difference(softmax<1>(half), along({2, 4}, dense_values({2, 4}, 1), 1, softmax_of), 1. / 256) == "");
  });
}
