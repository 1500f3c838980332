// SPDX-License-Identifier: Apache-2.0
// Gradients of cumulative sums, softmax and its relatives against central differences of plain loops, on every mesh.
#include "layer_test.hpp"
#include "reduce_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using At = ShardedTensor<Grid, Spec<Entries...>, double>;

template <class Row>
auto reduced_by(std::vector<int> const& dimensions, Row const& row) {
  return [=](std::vector<Dense> const& in) { return reduced(in[0].extents, in[0].values, dimensions, row); };
}

template <class Row>
auto along_by(int dimension, Row const& row) {
  return [=](std::vector<Dense> const& in) { return along(in[0].extents, in[0].values, dimension, row); };
}

/// Everything that runs along one dimension.
template <class Tensor, int Dimension>
void check_rows(Grid const& grid, Extents const& extents) {
  INFO(gshard::detail::text_of<Grid>(Tensor::layout), " ", gshard::detail::text_of(extents));
  std::vector<Dense> const x{smooth_values(extents, 1)};
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return cumulative_sum<Dimension>(in); }, along_by(Dimension, inclusive));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return cumulative_sum<Dimension>(in, Scan::exclusive); },
      along_by(Dimension, exclusive));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return softmax<Dimension>(in); }, along_by(Dimension, softmax_of));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return log_softmax<Dimension>(in); }, along_by(Dimension, log_softmax_of));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return log_sum_exp<Dimension>(in); }, reduced_by({Dimension}, log_sum_exp_of));
}

}  // namespace

TEST_CASE("gradients along one dimension, split and whole") {
  on_every_grid([](Grid const& grid) {
    check_rows<At<"data", _, "expert">, 0>(grid, {3, 2, 5});
    check_rows<At<"data", _, "expert">, 1>(grid, {3, 2, 5});
    check_rows<At<"data", "expert", _>, 2>(grid, {2, 3, 5});
    check_rows<At<_, "expert,data">, 1>(grid, {2, 5});
    check_rows<At<_, "expert,data">, 1>(grid, {0, 3});
  });
}

TEST_CASE("gradients along a dimension whose extent the type fixes") {
  on_every_grid([](Grid const& grid) {
    using X = At<extent("data", 3), extent(5)>;
    std::vector<Dense> const x{smooth_values({3, 5}, 1)};
    check_operation<X>(grid, x, [](auto const& in) { return softmax<0>(in); }, along_by(0, softmax_of));
    check_operation<X>(grid, x, [](auto const& in) { return log_sum_exp<0>(in); }, reduced_by({0}, log_sum_exp_of));
    check_operation<X>(grid, x, [](auto const& in) { return cumulative_sum<0>(in); }, along_by(0, inclusive));
  });
}

TEST_CASE("the gradient of log_sum_exp is that of the unrounded sum: of BFloat16, and of float far from 0") {
  // The results lie between 104 and 106, where BFloat16 has steps of 1/2, and beyond 2^22, where float has such steps.
  auto const check = []<class T>(Grid const& grid, T first, double tolerance) {
    using X = ShardedTensor<Grid, Spec<"data", "expert">, T>;
    std::vector<T> elements;
    for (int i = 0; i < 36; ++i)
      elements.push_back(static_cast<T>(static_cast<float>(first) + .5F * float(i * 7 % 10)));
    Tape tape;
    auto const x = tape.watch(from_vector<X>(grid, {3, 12}, elements));
    tape.backward(sum(log_sum_exp<1>(x)));
    Values const expected = along({3, 12}, Values(elements.begin(), elements.end()), 1, softmax_of);
    CHECK(difference(tape.gradient(x), expected, tolerance) == "");
  };
  on_every_grid([&](Grid const& grid) {
    check(grid, BFloat16(100), 1e-3);
    check(grid, float(1 << 22), 1e-6);
  });
}

TEST_CASE("scores that are masked altogether make their own row's gradient NaN, and that of log_sum_exp 0") {
  on_every_grid([](Grid const& grid) {
    Tape tape;
    auto const x =
        tape.watch(tensor_of<At<"data", "expert">>(grid, {{2, 3}, {-infinity, -infinity, -infinity, 0, -infinity, 0}}));
    tape.backward(weighted_sum(softmax<1>(x)));
    auto const found = collected(tape.gradient(x));
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::isnan(found[i]));
    CHECK(found[4] == 0);
    CHECK(found[3] == doctest::Approx(-found[5]));
    Tape other;
    auto const y = other.watch(
        tensor_of<At<"data", "expert">>(grid, {{2, 3}, {-infinity, -infinity, -infinity, 0, -infinity, 0}}));
    auto const sums = log_sum_exp<1>(y);
    other.backward(sums, filled<At<"data">>(grid, {2}, 0, [](std::int64_t, std::int64_t) { return 1.0; }));
    CHECK(difference(other.gradient(y), {0, 0, 0, .5, 0, .5}, 1e-15) == "");
  });
}
