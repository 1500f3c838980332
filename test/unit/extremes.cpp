// SPDX-License-Identifier: Apache-2.0
// NaN, infinities, and the identities of maxima and minima, on each rank in turn: results are those of one rank, by
// NumPy's rules. NaN propagates; a rank that holds identities alone, or nothing, changes nothing.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>
#include <gshard/spatial.hpp>
#include <gshard/tensor/from_vector.hpp>

#include "reduce_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

double const NaN = std::numeric_limits<double>::quiet_NaN();

/// The number of elements of the rows below: enough for each rank, or, of the short ones, not.
constexpr std::int64_t longer = 24, shorter = 5;

/// The elements of one row that rank number `part` holds.
Range held_by(int part, std::int64_t extent) { return shard_range(extent, ranks(), part); }

/// Calls `action(mesh, range)` for the elements of one row that each rank holds in turn.
template <class Action>
void for_each_block(std::int64_t extent, Action const& action) {
  on_every_mesh([&](TwoAxes const& mesh) {
    for (int part = 0; part < ranks(); ++part) {
      INFO("part ", part);
      action(mesh, held_by(part, extent));
    }
  });
}

/// A row of small integers.
Values some_row(std::int64_t extent) { return dense_values({extent}, 3); }

/// The same with `value` in a range.
Values with(Values row, Range range, double value) {
  for (std::int64_t i = range.begin; i < range.end; ++i) row[static_cast<std::size_t>(i)] = value;
  return row;
}

/// The same with `value` outside the range.
Values with_all_but(Values row, Range range, double value) {
  return with(with(row, {0, range.begin}, value), {range.end, static_cast<std::int64_t>(row.size())}, value);
}

// ---- By loops over one row

bool is_better(double value, double so_far, bool largest) {
  if (std::isnan(so_far)) return false;
  return std::isnan(value) || (largest ? value > so_far : value < so_far);
}
std::size_t place_of_extreme(Values const& row, bool largest) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < row.size(); ++i)
    if (is_better(row[i], row[best], largest)) best = i;
  return best;
}
double extreme_of(Values const& row, bool largest) { return row[place_of_extreme(row, largest)]; }

/// The logarithm of the sum of exponentials, whose infinities are those of the largest.
double logarithm_of_sum(Values const& row) {
  double const largest = extreme_of(row, true);
  if (!std::isfinite(largest)) return largest;
  double sum = 0;
  for (double value : row) sum += std::exp(value - largest);
  return largest + std::log(sum);
}
Values log_softmax_row(Values row) {
  double const sum = logarithm_of_sum(row);
  for (double& value : row) value -= sum;
  return row;
}
Values softmax_row(Values const& row) {
  Values result = log_softmax_row(row);
  for (double& value : result) value = std::exp(value);
  return result;
}
Values cumulative_row(Values row) {
  for (std::size_t i = 1; i < row.size(); ++i) row[i] += row[i - 1];
  return row;
}
Values joined(std::vector<Values> const& rows) {
  Values result;
  for (Values const& row : rows) result.insert(result.end(), row.begin(), row.end());
  return result;
}
template <class Function>
Values of_each(std::vector<Values> const& rows, Function const& function) {
  Values result;
  for (Values const& row : rows) result.push_back(function(row));
  return result;
}

/// All operations along a split dimension. A sum, or a softmax, of infinities of both signs is NaN.
void check_row_operations(TwoAxes const& mesh, std::vector<Values> const& values) {
  auto const x = rows<double>(mesh, values);
  Values const all = joined(values);
  CHECK(difference(eval(maximum<1>(x)), of_each(values, [](Values const& row) { return extreme_of(row, true); })) ==
        "");
  CHECK(difference(eval(minimum<1>(x)), of_each(values, [](Values const& row) { return extreme_of(row, false); })) ==
        "");
  CHECK(is_close(maximum(x), extreme_of(all, true), 0));
  CHECK(is_close(minimum(x), extreme_of(all, false), 0));
  auto const place = [](bool largest) {
    return [=](Values const& row) { return static_cast<double>(place_of_extreme(row, largest)); };
  };
  CHECK(difference(argmax<1>(x), of_each(values, place(true))) == "");
  CHECK(difference(argmin<1>(x), of_each(values, place(false))) == "");
  CHECK(difference(eval(sum<1>(x)), of_each(values, sum_of)) == "");
  CHECK(is_close(sum(x), sum_of(all), 0));
  CHECK(difference(eval(mean<1>(x)), of_each(values, mean_of), 1e-15) == "");
  CHECK(difference(eval(norm<1>(x)), of_each(values, norm_of), 1e-15) == "");
  CHECK(is_close(norm(x), norm_of(all), 1e-15));
  CHECK(difference(log_sum_exp<1>(x), of_each(values, logarithm_of_sum), 1e-14) == "");
  std::vector<Values> logarithms, weights, sums;
  for (Values const& row : values) {
    logarithms.push_back(log_softmax_row(row));
    weights.push_back(softmax_row(row));
    sums.push_back(cumulative_row(row));
  }
  CHECK(difference(log_softmax<1>(x), joined(logarithms), 1e-14) == "");
  CHECK(difference(softmax<1>(x), joined(weights), 1e-14) == "");
  CHECK(difference(cumulative_sum<1>(x), joined(sums)) == "");
}

}  // namespace

TEST_CASE("NaN on one rank: maxima, minima, norms, sums, softmax and its relatives are NaN, argmax names it") {
  for_each_block(longer, [](TwoAxes const& mesh, Range block) {
    Range const first{block.begin, block.begin + 1}, last{block.end - 1, block.end};
    check_row_operations(mesh, {with(some_row(longer), first, NaN), some_row(longer), with(some_row(longer), last, NaN),
                                with(with(some_row(longer), {0, longer}, -infinity), last, NaN)});
  });
}

TEST_CASE("a rank that holds minus infinity alone, infinity alone, or all but them, changes nothing") {
  for (std::int64_t extent : {longer, shorter})
    for_each_block(extent, [&](TwoAxes const& mesh, Range block) {
      Values const row = some_row(extent);
      check_row_operations(mesh, {with(row, block, -infinity), with_all_but(row, block, -infinity), row});
      check_row_operations(mesh, {with(row, {0, extent}, -infinity), row});
    });
}

TEST_CASE("infinity is the largest: log_sum_exp is infinite, softmax of it NaN") {
  for_each_block(longer, [](TwoAxes const& mesh, Range block) {
    auto const x = rows<double>(mesh, {with(some_row(longer), {block.begin, block.begin + 1}, infinity)});
    CHECK(difference(log_sum_exp<1>(x), {infinity}) == "");
    CHECK(difference(eval(maximum<1>(x)), {infinity}) == "");
    CHECK(difference(argmax<1>(x), {static_cast<double>(block.begin)}) == "");
    CHECK(difference(eval(minimum<1>(-x)), {-infinity}) == "");
    for (double weight : collected(softmax<1>(x))) CHECK(std::isnan(weight));
  });
}

TEST_CASE("the lowest and the highest integer are elements like others, and identities of ranks without elements") {
  constexpr int lowest = std::numeric_limits<int>::min(), highest = std::numeric_limits<int>::max();
  for (std::int64_t extent : {longer, shorter})
    for_each_block(extent, [&](TwoAxes const& mesh, Range block) {
      Values const row = some_row(extent);
      std::vector<Values> const values{with(row, block, lowest), with_all_but(row, block, highest),
                                       with(row, {0, extent}, lowest), with(row, {0, extent}, highest)};
      auto const x = rows<int>(mesh, values);
      auto const extreme = [](bool largest) { return [=](Values const& of) { return extreme_of(of, largest); }; };
      auto const place = [](bool largest) {
        return [=](Values const& of) { return static_cast<double>(place_of_extreme(of, largest)); };
      };
      CHECK(difference(eval(maximum<1>(x)), of_each(values, extreme(true))) == "");
      CHECK(difference(eval(minimum<1>(x)), of_each(values, extreme(false))) == "");
      CHECK(difference(argmax<1>(x), of_each(values, place(true))) == "");
      CHECK(difference(argmin<1>(x), of_each(values, place(false))) == "");
      CHECK(maximum(x) == highest);
      CHECK(minimum(x) == lowest);
    });
}

TEST_CASE("pools give NaN where a window sees one, and its gradient goes to it; windows of minus infinity stay so") {
  using Line = ShardedTensor<TwoAxes, Spec<_, "x,y", _>, double>;
  for_each_block(longer, [](TwoAxes const& mesh, Range block) {
    for (double special : {NaN, -infinity}) {
      Values const row = with(some_row(longer), {block.begin, block.begin + 1}, special);
      Values largest, averages;
      for (std::int64_t i = 0; i < longer; ++i) {
        Values const seen(row.begin() + std::max<std::int64_t>(0, i - 2), row.begin() + i + 1);
        largest.push_back(extreme_of(seen, true));
        averages.push_back(mean_of(seen));
      }
      PoolOptions<1> const options{.window = {3}, .stride = {{1}}, .low = {2}};
      Tape tape;
      auto const x = tape.watch(from_vector<Line>(mesh, {1, longer, 1}, row));
      auto const y = max_pool(x, options);
      CHECK(difference(y.value(), largest) == "");
      CHECK(difference(average_pool(x.value(), options), averages, 1e-15) == "");
      if (!std::isnan(special)) continue;
      tape.backward(y, from_vector<Line>(mesh, {1, longer, 1}, Values(static_cast<std::size_t>(longer), 1)));
      CHECK(collected(tape.gradient(x))[static_cast<std::size_t>(block.begin)] ==
            static_cast<double>(std::min<std::int64_t>(3, longer - block.begin)));
    }
    CHECK(difference(max_pool(from_vector<Line>(mesh, {1, longer, 1}, with(some_row(longer), {0, longer}, -infinity)),
                              {.window = {3}}),
                     Values(8, -infinity)) == "");
  });
}

TEST_CASE("sorts and top_k put NaN above infinity, on whichever rank a row lies") {
  using Columns = ShardedTensor<TwoAxes, Spec<"x,y", _>, double>;
  on_every_mesh([](TwoAxes const& mesh) {
    for (int part = 0; part < ranks(); ++part) {
      std::int64_t const special = part;
      Values elements, ascending, descending, top, places;
      for (std::int64_t row = 0; row < ranks(); ++row) {
        double const odd = row == special ? NaN : 3;
        for (double value : {2., odd, infinity, -infinity}) elements.push_back(value);
        bool const is_special = row == special;
        for (double value : is_special ? Values{-infinity, 2, infinity, NaN} : Values{-infinity, 2, 3, infinity})
          ascending.push_back(value);
        for (double value : is_special ? Values{NaN, infinity, 2, -infinity} : Values{infinity, 3, 2, -infinity})
          descending.push_back(value);
        for (double value : is_special ? Values{NaN, infinity} : Values{infinity, 3}) top.push_back(value);
        for (double value : is_special ? Values{1, 2} : Values{2, 1}) places.push_back(value);
      }
      auto const x = from_vector<Columns>(mesh, {ranks(), 4}, elements);
      CHECK(difference(sort<1>(x), ascending) == "");
      CHECK(difference(sort<1>(x, Order::descending), descending) == "");
      CHECK(difference(top_k<1>(x, 2).values, top) == "");
      CHECK(difference(top_k<1>(x, 2).indices, places) == "");
    }
  });
}

TEST_CASE("the gradient of a maximum of NaN goes to the NaN") {
  for_each_block(longer, [](TwoAxes const& mesh, Range block) {
    Tape tape;
    auto const x = tape.watch(rows<double>(mesh, {with(some_row(longer), {block.begin, block.begin + 1}, NaN)}));
    tape.backward(maximum(x));
    CHECK(difference(tape.gradient(x), with(Values(longer), {block.begin, block.begin + 1}, 1)) == "");
  });
}

TEST_CASE("norms and means of floats are right wherever a float holds them, though squares and sums are larger") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (double size : {1e25, 1e-25}) {
      auto const x = rows<float>(mesh, {Values(16, size), Values(16, -size)});
      for (double found : collected(eval(norm<1>(x)))) CHECK(found == doctest::Approx(4 * size).epsilon(1e-6));
      CHECK(norm(x) == doctest::Approx(std::sqrt(32.) * size).epsilon(1e-6));
      Tape tape;
      auto const recorded = tape.watch(x);
      tape.backward(norm(recorded));
      CHECK(std::abs(collected(tape.gradient(recorded))[0]) == doctest::Approx(1 / std::sqrt(32.)).epsilon(1e-6));
    }
    CHECK(difference(eval(mean<1>(rows<float>(mesh, {Values(16, 3e38)}))), {static_cast<double>(3e38f)}, 1e-6) == "");
    CHECK(difference(eval(norm<1>(rows<BFloat16>(mesh, {Values(16, 1e25)}))), {4 * static_cast<double>(BFloat16(1e25))},
                     1e-6) == "");
  });
}

TEST_CASE("pointwise functions of NaN are NaN, of infinities their limits") {
  on_every_mesh([](TwoAxes const& mesh) {
    ShardedTensor<TwoAxes, Spec<_>, double> const x =
        from_vector<ShardedTensor<TwoAxes, Spec<_>, double>>(mesh, {3}, Values{NaN, infinity, -infinity});
    CHECK(difference(eval(relu(x)), {NaN, infinity, 0}) == "");
    CHECK(difference(eval(exp(x)), {NaN, infinity, 0}) == "");
    CHECK(difference(eval(log(x)), {NaN, infinity, NaN}) == "");
    CHECK(difference(eval(tanh(x)), {NaN, 1, -1}) == "");
    CHECK(difference(eval(sigmoid(x)), {NaN, 1, 0}) == "");
    CHECK(difference(eval(sqrt(x)), {NaN, infinity, NaN}) == "");
    CHECK(difference(eval(square(x)), {NaN, infinity, infinity}) == "");
    CHECK(difference(eval(-x), {NaN, -infinity, infinity}) == "");
    CHECK(difference(eval(x + x), {NaN, infinity, -infinity}) == "");
    CHECK(difference(eval(x * 2), {NaN, infinity, -infinity}) == "");
    CHECK(difference(eval(1 / x), {NaN, 0, 0}) == "");
    CHECK(difference(eval(cast<BFloat16>(x)), {NaN, infinity, -infinity}) == "");
    Tape tape;
    auto const recorded = tape.watch(x);
    tape.backward(sum(relu(recorded)));
    CHECK(difference(tape.gradient(recorded), {1, 1, 0}) == "");
  });
}
