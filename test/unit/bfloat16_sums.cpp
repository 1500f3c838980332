// SPDX-License-Identifier: Apache-2.0
// Sums of BFloat16 are added up in float: 1000 ones are 1000, a BFloat16 itself, and not 256, where 256 + 1 = 256.
#include <cstdint>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>
#include <gshard/spatial.hpp>
#include <gshard/tensor/from_vector.hpp>

#include "reduce_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <AxisNames... Entries>
using Half = ShardedTensor<TwoAxes, Spec<Entries...>, BFloat16>;
template <AxisNames... Entries>
using Indices = ShardedTensor<TwoAxes, Spec<Entries...>, int>;

constexpr int thousand = 1000;
/// As long that a thousand windows of a thousand places fit in.
constexpr std::int64_t longer = 2 * thousand - 1;

template <AnyTensor Tensor>
Tensor ones(TwoAxes const& mesh, Extents const& extents) {
  Tensor result(mesh, extents);
  fill(result, [](auto const&) { return 1.0; });
  return result;
}

}  // namespace

TEST_CASE("sums of a thousand ones, over dimensions, ranks and along a dimension") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = ones<Half<_, "x,y">>(mesh, {2, thousand});
    CHECK(difference(eval(sum<1>(x)), {thousand, thousand}) == "");
    CHECK(difference(eval(mean<1>(x)), {1, 1}) == "");
    CHECK(sum(x) == 2 * thousand);
    CHECK(collected(cumulative_sum<1>(x))[thousand - 1] == thousand);
    CHECK(difference(eval(einsum<"ab->a">(x)), {thousand, thousand}) == "");
    CHECK(difference(eval(einsum<"ab,ab->a">(x, x)), {thousand, thousand}) == "");
  });
}

TEST_CASE("scatter_add of a thousand ones, and the gradient of an element that is taken a thousand times") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const check = [&]<class Held>(Held const& indices, auto const& updates) {
      CHECK(difference(scatter_add<0>(Half<_>(mesh, {3}), indices, updates), {0, thousand, 0}) == "");
      Tape tape;
      auto const x = tape.watch(ones<Half<_>>(mesh, {3}));
      auto const taken = take<0>(x, indices);
      tape.backward(taken, updates);
      CHECK(difference(tape.gradient(x), {0, thousand, 0}) == "");
    };
    std::vector<int> const places(thousand, 1);
    check(from_vector<Indices<_>>(mesh, {thousand}, places), ones<Half<_>>(mesh, {thousand}));
    check(from_vector<Indices<"x,y">>(mesh, {thousand}, places), ones<Half<"x,y">>(mesh, {thousand}));
  });
}

TEST_CASE(
    "pools and convolutions over a thousand places, and the gradients of an element that a thousand windows see") {
  on_every_mesh([](TwoAxes const& mesh) {
    using Line = Half<_, "x,y", _>;
    auto const all_ones = ones<Line>(mesh, {1, longer, 1});
    Values const thousand_ones(thousand, 1), thousands(thousand, thousand);
    Values seen;  // how many windows see an element
    for (std::int64_t i = 0; i < longer; ++i) seen.push_back(static_cast<double>(std::min(i + 1, longer - i)));
    PoolOptions<1> const windows{.window = {thousand}, .stride = {{1}}};
    auto const gradient_of = [&](auto const& operation, auto const& value) {
      Tape tape;
      auto const x = tape.watch(value);
      auto const y = eval(operation(x));
      tape.backward(y, ones<Line>(mesh, y.value().extents()));
      return collected(tape.gradient(x));
    };

    CHECK(difference(average_pool(all_ones, windows), thousand_ones) == "");
    auto const averages = [&](auto const& x) { return average_pool(x, windows, AverageOver::window); };
    CHECK(gradient_of(averages, all_ones)[thousand - 1] == 1);

    Values peak(static_cast<std::size_t>(longer));
    peak[thousand - 1] = 5;
    auto const mountain = from_vector<Line>(mesh, {1, longer, 1}, std::vector<BFloat16>(peak.begin(), peak.end()));
    CHECK(difference(max_pool(mountain, windows), Values(thousand, 5)) == "");
    CHECK(gradient_of([&](auto const& x) { return max_pool(x, windows); }, mountain)[thousand - 1] == thousand);

    auto const wide = ones<Half<_, _, _>>(mesh, {thousand, 1, 1});
    auto const point = ones<Half<_, _, _>>(mesh, {1, 1, 1});
    CHECK(difference(eval(convolution(all_ones, wide)), thousands) == "");
    CHECK(gradient_of([&](auto const& x) { return convolution(x, wide); }, all_ones)[thousand - 1] == thousand);
    Tape tape;
    auto const w = tape.watch(point);
    Line const thousand_places = ones<Line>(mesh, {1, thousand, 1});
    tape.backward(eval(convolution(thousand_places, w)), thousand_places);
    CHECK(difference(tape.gradient(w), {thousand}) == "");
  });
}

TEST_CASE("a convolution with a dilated base adds up over window positions in float") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = ones<Half<_, "x,y", _>>(mesh, {1, thousand, 1});
    auto const w = ones<Half<_, _, _>>(mesh, {2 * thousand, 1, 1});
    CHECK(collected(eval(convolution(x, w, {.low = {1}, .base_dilation = {2}})))[0] == thousand);
  });
}

TEST_CASE("halos of BFloat16 are those of double, there and back") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const half = filled<Half<"x,y">>(mesh, {longer}, 1);
    auto const whole = filled<On<"x,y">>(mesh, {longer}, 1);
    auto const sums_of = [](auto const& x) { return collected(sum_halo(exchange_halo(x, {40}, {70}), {40}, {70})); };
    CHECK(difference(sums_of(half), sums_of(whole)) == "");
  });
}
