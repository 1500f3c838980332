// SPDX-License-Identifier: Apache-2.0
// Gradients of reductions against central differences of plain loops, on every mesh.
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

/// All reductions over some dimensions, with the spec that they propagate.
template <class Tensor, int... Dimensions>
void check_reductions(Grid const& grid, Extents const& extents) {
  INFO(gshard::detail::text_of<Grid>(Tensor::layout), " ", gshard::detail::text_of(extents));
  std::vector<int> const dimensions{Dimensions...};
  std::vector<Dense> const x{smooth_values(extents, 1)};
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return eval(sum<Dimensions...>(in)); }, reduced_by(dimensions, sum_of));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return eval(mean<Dimensions...>(in)); }, reduced_by(dimensions, mean_of));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return eval(maximum<Dimensions...>(in)); }, reduced_by(dimensions, maximum_of));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return eval(minimum<Dimensions...>(in)); }, reduced_by(dimensions, minimum_of));
  check_operation<Tensor>(
      grid, x, [](auto const& in) { return eval(norm<Dimensions...>(in)); }, reduced_by(dimensions, norm_of));
}

}  // namespace

TEST_CASE("gradients of reductions over split and whole dimensions") {
  on_every_grid([](Grid const& grid) {
    check_reductions<At<"data", _, "expert">, 0>(grid, {3, 2, 5});
    check_reductions<At<"data", _, "expert">, 1, 2>(grid, {3, 2, 5});
    check_reductions<At<_, "expert,data">, 1>(grid, {2, 5});
  });
}

TEST_CASE("gradients of reductions whose result is declared otherwise") {
  on_every_grid([](Grid const& grid) {
    using X = At<"data", "expert">;
    std::vector<Dense> const x{smooth_values({3, 5}, 1)};
    check_operation<X>(
        grid, x, [](auto const& in) { return shard<Spec<"data">>(sum<0>(in)); }, reduced_by({0}, sum_of));
    check_operation<X>(grid, x, [](auto const& in) { return shard<Spec<_>>(mean<1>(in)); }, reduced_by({1}, mean_of));
    check_operation<X>(
        grid, x, [](auto const& in) { return shard<Spec<"data,expert">>(maximum<1>(in)); },
        reduced_by({1}, maximum_of));
    check_operation<X>(
        grid, x, [](auto const& in) { return shard<Spec<"expert">>(norm<1>(in)); }, reduced_by({1}, norm_of));
    check_operation<X>(
        grid, x, [](auto const& in) { return reshard<Spec<_>>(shard<Spec<_, partial("data")>>(sum<0>(in))); },
        reduced_by({0}, sum_of));
    check_operation<At<_, _>>(
        grid, x, [](auto const& in) { return shard<Spec<"data">>(minimum<0>(in)); }, reduced_by({0}, minimum_of));
    check_operation<At<extent("data", 3), extent(5)>>(
        grid, x, [](auto const& in) { return eval(maximum<0>(in)); }, reduced_by({0}, maximum_of));
  });
}

TEST_CASE("gradients of reductions of all elements") {
  on_every_grid([](Grid const& grid) {
    // Numbers on the host forward, recorded scalars backward.
    Tape tape;
    auto const dense = smooth_values({3, 5}, 1);
    auto const x = tape.watch(tensor_of<At<"data", "expert">>(grid, dense));
    CHECK(difference(maximum(x).value(), {maximum_of(dense.values)}) == "");
    CHECK(difference(minimum(x).value(), {minimum_of(dense.values)}) == "");
    tape.backward(norm(x) + 2 * mean(x) + maximum(x) - minimum(x));
    Values right;
    for (double value : dense.values)
      right.push_back(value / norm_of(dense.values) + 2.0 / 15 + (value == maximum_of(dense.values) ? 1 : 0) -
                      (value == minimum_of(dense.values) ? 1 : 0));
    CHECK(difference(tape.gradient(x), right, 1e-14) == "");
  });
}

TEST_CASE("equal largest elements share the gradient, on whichever ranks they are; a norm of 0 passes none") {
  on_every_grid([](Grid const& grid) {
    Tape tape;
    auto const x = tape.watch(tensor_of<At<"data", "expert">>(grid, {{2, 4}, {7, 1, 7, 7, 0, 0, 0, 0}}));
    tape.backward(sum(eval(maximum<1>(x))));
    CHECK(difference(tape.gradient(x), {1. / 3, 0, 1. / 3, 1. / 3, .25, .25, .25, .25}) == "");
    Tape other;
    auto const y = other.watch(tensor_of<At<"data", "expert">>(grid, {{2, 4}, {3, 0, 4, 0, 0, 0, 0, 0}}));
    other.backward(sum(eval(norm<1>(y))));
    CHECK(difference(other.gradient(y), {.6, 0, .8, 0, 0, 0, 0, 0}, 1e-15) == "");
  });
}

TEST_CASE("gradients of empty tensors are empty") {
  on_every_grid([](Grid const& grid) { check_reductions<At<"data", "expert">, 0>(grid, {3, 0}); });
}

TEST_CASE("gradients of BFloat16 are BFloat16") {
  using Small = ShardedTensor<Grid, Spec<"data", "expert">, BFloat16>;
  on_every_grid([](Grid const& grid) {
    Tape tape;
    Small const values(grid, {2, 4});
    fill_by_position(values, 1);
    auto const x = tape.watch(values);
    tape.backward(sum(eval(mean<0>(x))) + sum(eval(maximum<1>(x))) + sum(softmax<1>(x)) + sum(cumulative_sum<1>(x)));
    auto const dense = dense_values({2, 4}, 1);
    Values right;
    for (std::size_t i = 0; i < 8; ++i) {
      Values const row(dense.begin() + static_cast<std::ptrdiff_t>(i / 4 * 4),
                       dense.begin() + static_cast<std::ptrdiff_t>(i / 4 * 4 + 4));
      right.push_back(0.5 + (dense[i] == maximum_of(row) ? 1 : 0) + 4 - static_cast<double>(i % 4));
    }
    CHECK(difference(tape.gradient(x), right, 1. / 128) == "");
  });
}
