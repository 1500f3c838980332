// SPDX-License-Identifier: Apache-2.0
// Negative dimensions count from the end, in every operation that takes dimensions; test/compile_fail has those that do
// not exist.
#include "dense_reference.hpp"
#include "gradients.hpp"
#include "mpi_test.hpp"
#include "wrong_inputs.hpp"

#include <limits>
#include <type_traits>
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

/// Whether two results are of one type and hold the same elements.
template <class Tensor>
void check_same(Tensor const& counted_from_the_end, Tensor const& counted_from_the_front) {
  CHECK(counted_from_the_end.extents() == counted_from_the_front.extents());
  CHECK(difference(counted_from_the_end, collected(counted_from_the_front)) == "");
}

/// The gradient of the sum of squares of `function(x)`.
template <class Tensor, class Function>
Tensor gradient_of_squares(Tensor const& x, Function const& function) {
  Tape tape;
  auto const watched = tape.watch(x);
  auto const y = function(watched);
  tape.backward(sum(y * y));
  return tape.gradient(watched);
}

}  // namespace

TEST_CASE("rearrangements, gathers and sorting along the last dimension but one or two") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _, "y">>(mesh, {5, 4, 6}, 1);
    auto const places = from_vector<ShardedTensor<TwoAxes, Spec<_>, int>>(mesh, {2}, std::vector<int>{3, 1});
    check_same(slice<-3>(x, 1, 4), slice<0>(x, 1, 4));
    check_same(pad<-1>(x, 1, 2), pad<2>(x, 1, 2));
    check_same(reverse<-1>(x), reverse<2>(x));
    check_same(roll<-3>(x, 2), roll<0>(x, 2));
    check_same(concatenate<-2>(x, x), concatenate<1>(x, x));
    check_same(update_slice<-1>(x, slice<-1>(x, 0, 2), 3), update_slice<2>(x, slice<2>(x, 0, 2), 3));
    check_same(take<-2>(x, places), take<1>(x, places));
    check_same(scatter_add<-2>(x, places, take<-2>(x, places)), scatter_add<1>(x, places, take<1>(x, places)));
    check_same(sort<-2>(x), sort<1>(x));
    check_same(argsort<-2>(x), argsort<1>(x));
    check_same(top_k<-2>(x, 2).values, top_k<1>(x, 2).values);
    check_same(split_dimension<-2>(x, 2), split_dimension<1>(x, 2));
    check_same(merge_dimensions<-3>(split_dimension<-2>(x, 2)), x);
    check_same(split<-2, "x">(replicate(x)), split<1, "x">(replicate(x)));
  });
}

TEST_CASE("gradients along the last dimension but one") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _, _>>(mesh, {3, 4, 2}, 1, smooth);
    auto const places = from_vector<ShardedTensor<TwoAxes, Spec<_>, int>>(mesh, {3}, std::vector<int>{3, 1, 3});
    auto const from_the_end = gradient_of_squares(x, [&](auto const& v) {
      auto const u = concatenate<-2>(roll<-2>(reverse<-2>(slice<-2>(v, 1, 4)), 1), pad<-2>(v, 1, -1));
      auto const w = scatter_add<-2>(update_slice<-2>(u, v, 2), places, take<-2>(v, places));
      return cumulative_sum<-2>(merge_dimensions<-2>(sort<-1>(split_dimension<-2>(top_k<-2>(w, 4).values, 2))));
    });
    auto const from_the_front = gradient_of_squares(x, [&](auto const& v) {
      auto const u = concatenate<1>(roll<1>(reverse<1>(slice<1>(v, 1, 4)), 1), pad<1>(v, 1, -1));
      auto const w = scatter_add<1>(update_slice<1>(u, v, 2), places, take<1>(v, places));
      return cumulative_sum<1>(merge_dimensions<2>(sort<3>(split_dimension<1>(top_k<1>(w, 4).values, 2))));
    });
    check_same(from_the_end, from_the_front);
  });
}

TEST_CASE("the gradient of merged dimensions of which the first is empty") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _, _>>(mesh, {3, 0, 2}, 1);
    check_same(gradient_of_squares(x, [](auto const& v) { return merge_dimensions<-2>(v); }), x);
  });
}

TEST_CASE("extents and ranges by number: negative ones from the end, others are refused") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x", "y"> const x(mesh, {5, 4}, "x");
    CHECK(x.extent(-1) == 4);
    CHECK(x.extent(-2) == 5);
    CHECK(x.local_extent(-2) == x.local_extent(0));
    CHECK(x.range(-1) == x.range(1));
    for (int d : {2, -3, 9, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
      expect_refusal<ExtentError>("extent: no such dimension", [&] { x.extent(d); }, "'x' (5, 4) has no dimension");
      expect_refusal<ExtentError>("local_extent: no such dimension", [&] { x.local_extent(d); }, "has no dimension");
      expect_refusal<ExtentError>("range: no such dimension", [&] { x.range(d); }, "has no dimension");
    }
    expect_refusal<ExtentError>("extent: of a scalar", [&] { On<>(mesh).extent(0); }, "() has no dimension 0");
  });
}
