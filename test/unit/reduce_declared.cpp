// SPDX-License-Identifier: Apache-2.0
// Reductions whose results are declared to be held otherwise, or exist already.
#include "reduce_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

/// One sum and one maximum with a declared spec.
template <class Tensor, class Declared, int... Dimensions>
void check_declared(TwoAxes const& mesh) {
  for (Extents const& extents : {Extents{5, 7}, Extents{4, 8}, Extents{1, 1}, Extents{0, 3}, Extents{3, 0}}) {
    auto const x = filled<Tensor>(mesh, extents, 1);
    auto const dense = dense_values_of(x, 1);
    INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents));
    with_spec<Tensor, Declared> const total = sum<Dimensions...>(x);
    CHECK(difference(total, reduced(extents, dense, {Dimensions...}, sum_of)) == "");
    CHECK(difference(shard<Declared>(sum<Dimensions...>(2 * x)),
                     reduced(extents, dense, {Dimensions...}, [](Values const& row) { return 2 * sum_of(row); })) ==
          "");
    if constexpr (Tensor::layout.partial.empty()) {
      with_spec<Tensor, Declared> const largest = maximum<Dimensions...>(1 - x);
      if (product(extents) > 0)
        CHECK(difference(largest, reduced(extents, dense, {Dimensions...},
                                          [](Values const& row) { return 1 - minimum_of(row); })) == "");
    }
  }
}

}  // namespace

TEST_CASE("the declared spec is the annotation: all-reduce, reduce-scatter, partial, slices") {
  using X = On<"x", "y">;
  static_assert(plan_of<"ab->b", X, On<"y">>.all_reduce == 1);
  static_assert(plan_of<"ab->a", X, On<"x,y">>.reduce_scatter == 1 && plan_of<"ab->a", X, On<"x,y">>.total() == 1);
  static_assert(plan_of<"ab->a", X, On<"x", partial("y")>>.total() == 0);
  on_every_mesh([](TwoAxes const& mesh) {
    check_declared<X, Spec<"y">, 0>(mesh);
    check_declared<X, Spec<_>, 0>(mesh);
    check_declared<X, Spec<"x">, 0>(mesh);
    check_declared<X, Spec<"x,y">, 1>(mesh);
    check_declared<X, Spec<"x", partial("y")>, 1>(mesh);
    check_declared<X, Spec<partial("x,y")>, 0, 1>(mesh);
    check_declared<On<_, "x">, Spec<"y">, 1>(mesh);
    check_declared<On<_, _>, Spec<"y">, 0>(mesh);
    check_declared<On<_, _>, Spec<"x,y">, 1>(mesh);
    check_declared<On<"y", _, partial("x")>, Spec<_>, 0>(mesh);
    check_declared<On<"y", _, partial("x")>, Spec<"x">, 0>(mesh);
    check_declared<On<"y", _, partial("x")>, Spec<_, partial("x")>, 0>(mesh);
  });
}

TEST_CASE("into tensors that exist, whose spec is the annotation") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 6}, 1);
    auto const sums = reduced({5, 6}, dense_values({5, 6}, 1), {0}, sum_of);
    auto y = filled<On<"x">>(mesh, {6}, 2);
    assign(y, sum<0>(x));
    CHECK(difference(y, sums) == "");
    y += 2 * sum<0>(reshard<Spec<_, "x">>(x));
    y -= sum<0>(x);
    Values twice;
    for (double value : sums) twice.push_back(2 * value);
    CHECK(difference(y, twice) == "");
  });
}

TEST_CASE("an unreduced sum stays one: sums and means are linear") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"y", _, partial("x")>>(mesh, {5, 4}, 1);
    auto const dense = dense_values_of(x, 1);
    auto const means = eval(mean<0>(x));
    static_assert(std::is_same_v<decltype(means), On<_, partial("x")> const>);
    CHECK(difference(means, reduced({5, 4}, dense, {0}, mean_of), 1e-15) == "");
  });
}

TEST_CASE("dimensions count from the end where they are negative") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<"x", _, "y">>(mesh, {3, 4, 5}, 1);
  CHECK(local_values(eval(sum<-1>(x))) == local_values(eval(sum<2>(x))));
  CHECK(local_values(eval(maximum<-3, 1>(x))) == local_values(eval(maximum<0, 1>(x))));
}

TEST_CASE("extents that types fix stay fixed in what is kept") {
  using Fixed = On<extent("x", 6), extent(4), "y">;
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<Fixed>(mesh, {6, 4, 5}, 1);
    auto const dense = dense_values({6, 4, 5}, 1);
    auto const sums = eval(sum<0, 2>(x));
    static_assert(std::is_same_v<decltype(sums), On<extent(4)> const>);
    CHECK(difference(sums, reduced({6, 4, 5}, dense, {0, 2}, sum_of)) == "");
    On<"y"> const largest = maximum<1, 2>(x);
    CHECK(difference(largest, reduced({6, 4, 5}, dense, {1, 2}, maximum_of)) == "");
    static_assert(
        std::is_same_v<decltype(argmax<1>(x)), ShardedTensor<TwoAxes, Spec<extent("x", 6), "y">, std::int64_t>>);
    static_assert(std::is_same_v<decltype(log_sum_exp<2>(x)), On<extent("x", 6), extent(4)>>);
    static_assert(std::is_same_v<decltype(softmax<1>(x)), Fixed>);
    CHECK(difference(cumulative_sum<1>(x), along({6, 4, 5}, dense, 1, inclusive)) == "");
  });
}
