// SPDX-License-Identifier: Apache-2.0
// Variances and truth values against plain loops over the elements of each row.
#include "central_differences.hpp"
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

std::vector<Extents> const shapes = {{4, 8}, {5, 3}, {1, 2}, {2, 1}};

/// Some zeros among the numbers.
double with_zeros(std::int64_t seed, std::int64_t position) {
  return (seed + position) % 3 == 0 ? 0 : smooth(seed, position);
}

/// The function of each row of a matrix in row-major order.
std::vector<double> of_rows(std::vector<double> const& elements, std::int64_t columns,
                            std::function<double(std::vector<double> const&)> const& function) {
  std::vector<double> results;
  for (auto row = elements.begin(); row != elements.end(); row += columns)
    results.push_back(function(std::vector<double>(row, row + columns)));
  return results;
}

double variance_of(std::vector<double> const& row, double correction) {
  double mean = 0, squares = 0;
  for (double x : row) mean += x / static_cast<double>(row.size());
  for (double x : row) squares += (x - mean) * (x - mean);
  return squares / (static_cast<double>(row.size()) - correction);
}

double count_of(std::vector<double> const& row) {
  double count = 0;
  for (double x : row) count += x != 0 ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("variance and standard deviation of rows, columns and all elements") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1, smooth);
      auto const elements = dense_values(extents, 1, 1, smooth);
      auto const variances = of_rows(elements, extents[1], [](auto const& row) { return variance_of(row, 0); });
      auto const deviations =
          of_rows(elements, extents[1], [](auto const& row) { return std::sqrt(variance_of(row, 0)); });
      CHECK(difference(eval(variance<1>(x)), variances, 1e-14) == "");
      CHECK(difference(shard<Spec<_>>(variance<-1>(x)), variances, 1e-14) == "");
      CHECK(difference(eval(standard_deviation<1>(x)), deviations, 1e-14) == "");
      CHECK(variance(x) == doctest::Approx(variance_of(elements, 0)));
      CHECK(item(shard<Spec<>>(variance<0, 1>(x))) == doctest::Approx(variance_of(elements, 0)));
      CHECK(standard_deviation(x) == doctest::Approx(std::sqrt(variance_of(elements, 0))));
      if (extents[1] > 1) {
        auto const corrected = of_rows(elements, extents[1], [](auto const& row) { return variance_of(row, 1); });
        CHECK(difference(eval(variance<1>(x, 1)), corrected, 1e-14) == "");
      }
    }
  });
}

TEST_CASE("a variance does not cancel digits of a large mean") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {4, 6}, 1, smooth);
    CHECK(variance(eval(x + 1e8)) == doctest::Approx(variance(x)).epsilon(1e-6));
  });
}

TEST_CASE("the mean of BFloat16 is not rounded before it is subtracted") {
  on_every_mesh([](TwoAxes const& mesh) {
    // 100 and 100.5 are BFloat16, their mean 100.25 is not: it would be rounded to 100, and the variance to 0.125.
    ShardedTensor<TwoAxes, Spec<"x", _>, BFloat16> x(mesh, {2, 3});
    for (std::int64_t position = 0; position < x.local_size(); ++position)
      x.data()[position] = BFloat16(x.range(0).begin + position / 3 == 0 ? 100.0F : 100.5F);
    CHECK(difference(eval(cast<double>(variance<0>(x))), {0.0625, 0.0625, 0.0625}, 0) == "");
    CHECK(variance(x) == 0.0625);
    Tape tape;
    CHECK(item(variance(tape.watch(x))) == 0.0625F);
  });
}

TEST_CASE("gradients of variances") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, smooth);
    check_gradients([](auto const& v) { return weighted_sum(eval(variance<1>(v))); }, x);
    check_gradients([](auto const& v) { return weighted_sum(eval(variance<0>(v, 1))); }, x);
    check_gradients([](auto const& v) { return variance(v); }, x);
    check_gradients([](auto const& v) { return standard_deviation(v, 1); }, x);
  });
}

TEST_CASE("a correction takes fewer elements than there are") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<_, _>>(mesh, {4, 2}, 1, smooth);
  CHECK_THROWS_AS((void)eval(variance<1>(x, 2)), OptionError);
  CHECK_THROWS_AS((void)variance(x, -1), OptionError);
  CHECK_THROWS_AS((void)eval(variance<1>(On<_, _>())), StateError);
  CHECK_THROWS_AS((void)variance(On<_, _>()), StateError);
  CHECK(std::isnan(variance(On<_, _>(mesh, {0, 2}))));
}

TEST_CASE("counts, any and all") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1, with_zeros);
      auto const elements = dense_values(extents, 1, 1, with_zeros);
      auto const counts = of_rows(elements, extents[1], count_of);
      std::vector<double> some, every;
      for (double count : counts) {
        some.push_back(count > 0 ? 1 : 0);
        every.push_back(count == static_cast<double>(extents[1]) ? 1 : 0);
      }
      CHECK(difference(eval(cast<double>(count_nonzero<1>(x))), counts, 0) == "");
      CHECK(difference(eval(cast<double>(any<1>(x))), some, 0) == "");
      CHECK(difference(eval(cast<double>(all<1>(x))), every, 0) == "");
      CHECK(static_cast<double>(count_nonzero(x)) == count_of(elements));
      CHECK(any(x) == (count_of(elements) > 0));
      CHECK(all(x) == (count_of(elements) == static_cast<double>(elements.size())));
    }
  });
}

TEST_CASE("of nothing: no element is true, and all are; NaN is true") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x", _> const nothing(mesh, {0, 3});
    CHECK(!any(nothing));
    CHECK(all(nothing));
    CHECK(difference(eval(cast<double>(any<0>(nothing))), {0, 0, 0}, 0) == "");
    CHECK(difference(eval(cast<double>(all<0>(nothing))), {1, 1, 1}, 0) == "");
    On<> const none(mesh, Extents{});
    CHECK(all(eval(none + std::numeric_limits<double>::quiet_NaN())));
  });
}

TEST_CASE("counts, any and all compare in the pass over the elements that reduces them") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<_, _> const x(mesh, {64, 32});
  Ledger& ledger = runtime().ledger();
  auto const bytes_of = [&](auto const& action) {
    ledger.clear();
    ledger.open();
    action();
    ledger.close();
    return ledger.bytes_touched();
  };
  std::int64_t const elements = 64 * 32 * 8, rows = 64 * 8;
  CHECK(bytes_of([&] { CHECK(count_nonzero(x) == 0); }) == elements);
  CHECK(bytes_of([&] { CHECK(!all(x)); }) == elements);
  CHECK(bytes_of([&] { CHECK(eval(count_nonzero<1>(x)).size() == 64); }) == elements + rows);
  // Beside the counts of rows, which are written, read, and compared with 0: a result of int.
  CHECK(bytes_of([&] { CHECK(eval(any<1>(x)).size() == 64); }) == elements + 2 * rows + rows / 2);
  CHECK(bytes_of([&] { CHECK(eval(all<1>(x)).size() == 64); }) == elements + 2 * rows + rows / 2);
}
