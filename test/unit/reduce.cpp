// SPDX-License-Identifier: Apache-2.0
// Reductions over dimensions against plain loops over whole tensors, on every mesh of two axes.
#include "reduce_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

/// Sum and maximum of one type over some dimensions, with the spec that they propagate.
template <class Tensor, class Kept, int... Dimensions>
void check_two(TwoAxes const& mesh) {
  for (Extents const& extents : shapes) {
    auto const x = filled<Tensor>(mesh, extents, 1, smooth);
    auto const dense = dense_values(extents, 1, 1, smooth);
    INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents));
    auto const total = eval(sum<Dimensions...>(x));
    static_assert(std::is_same_v<typename decltype(total)::spec_type, Kept>);
    CHECK(exact_difference(total, reduced(extents, dense, {Dimensions...}, sum_of)) == "");
    CHECK(exact_difference(eval(maximum<Dimensions...>(x)), reduced(extents, dense, {Dimensions...}, maximum_of)) ==
          "");
  }
}

/// All others.
template <class Tensor, int... Dimensions>
void check_others(TwoAxes const& mesh) {
  for (Extents const& extents : shapes) {
    auto const x = filled<Tensor>(mesh, extents, 1, smooth);
    auto const dense = dense_values(extents, 1, 1, smooth);
    INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents));
    CHECK(exact_difference(eval(mean<Dimensions...>(x)), reduced(extents, dense, {Dimensions...}, mean_of)) == "");
    CHECK(exact_difference(eval(minimum<Dimensions...>(x)), reduced(extents, dense, {Dimensions...}, minimum_of)) ==
          "");
    CHECK(exact_difference(eval(norm<Dimensions...>(x)), reduced(extents, dense, {Dimensions...}, norm_of)) == "");
  }
}

}  // namespace

TEST_CASE("over one dimension, split or not: the others stay on their axes") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_two<On<_, _, _>, Spec<_, _>, 0>(mesh);
    check_two<On<"x", _, "y">, Spec<_, "y">, 0>(mesh);
    check_two<On<"x", _, "y">, Spec<"x", "y">, 1>(mesh);
    check_two<On<"x", _, "y">, Spec<"x", _>, 2>(mesh);
    check_two<On<_, "y,x", _>, Spec<_, _>, 1>(mesh);
    check_others<On<"x", _, "y">, 0>(mesh);
  });
}

TEST_CASE("over several dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_two<On<"x", _, "y">, Spec<_>, 0, 2>(mesh);
    check_two<On<"x", _, "y">, Spec<"y">, 1, 0>(mesh);
    check_two<On<_, "x,y", _>, Spec<"x,y">, 0, 2>(mesh);
    check_two<On<"x", _, "y">, Spec<>, 0, 1, 2>(mesh);
    check_others<On<"x", _, "y">, 1, 2>(mesh);
  });
}

// ---- Operands

TEST_CASE("reductions of expressions, of einsums, and among maps") {
  on_every_mesh([](TwoAxes const& mesh) {
    Extents const extents{6, 5};
    auto const x = filled<On<"x", "y">>(mesh, extents, 1);
    auto const y = filled<On<"x", "y">>(mesh, extents, 2);
    auto const a = dense_values(extents, 1);
    auto const b = dense_values(extents, 2);
    Values product;
    for (std::size_t i = 0; i < a.size(); ++i) product.push_back(a[i] * b[i] + 1);
    CHECK(difference(eval(sum<0>(x * y + 1)), reduced(extents, product, {0}, sum_of)) == "");
    CHECK(difference(eval(minimum<1>(x * y + 1)), reduced(extents, product, {1}, minimum_of)) == "");
    CHECK(difference(eval(sum<1>(einsum<"ab->ba">(x))), reduced(extents, a, {0}, sum_of)) == "");
    CHECK(difference(eval(3 * maximum<0>(x) - 1),
                     reduced(extents, a, {0}, [](Values const& row) { return 3 * maximum_of(row) - 1; })) == "");
    On<_> const again = einsum<"b->b">(sum<0>(x));
    CHECK(difference(again, reduced(extents, a, {0}, sum_of)) == "");
  });
}

TEST_CASE("integers stay integers, their means and norms are double") {
  using Numbers = ShardedTensor<TwoAxes, Spec<"x", "y">, std::int64_t>;
  on_every_mesh([](TwoAxes const& mesh) {
    Numbers const x(mesh, {3, 4});
    fill(x, [](GlobalIndex<2> const& index) { return (std::int64_t{1} << 60) + index[0] - 10 * index[1]; });
    ShardedTensor<TwoAxes, Spec<_>, std::int64_t> const largest = maximum<0>(x);
    ShardedTensor<TwoAxes, Spec<_>, std::int64_t> const total = sum<0>(x);
    for (std::int64_t j = 0; j < 4; ++j) {
      CHECK(largest.data()[j] == (std::int64_t{1} << 60) + 2 - 10 * j);
      CHECK(total.data()[j] == 3 * (std::int64_t{1} << 60) + 3 - 30 * j);
    }
    auto const small = eval(x - (std::int64_t{1} << 60));
    CHECK(difference(eval(mean<1>(small)), {-15, -14, -13}) == "");
    CHECK(difference(eval(norm<0>(small)),
                     Values{std::sqrt(5.0), std::sqrt(100.0 + 81 + 64), std::sqrt(400.0 + 361 + 324),
                            std::sqrt(900.0 + 841 + 784)},
                     1e-15) == "");
    static_assert(std::is_same_v<decltype(eval(mean<1>(small)))::value_type, double>);
  });
}

TEST_CASE("long reductions are cut into parts, in the last dimension, the first, and between") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto check = [&]<class Tensor, int... Dimensions>(std::type_identity<Tensor>, Extents const& extents,
                                                      std::integer_sequence<int, Dimensions...>) {
      auto const x = filled<Tensor>(mesh, extents, 1);
      INFO(gshard::detail::text_of(extents));
      CHECK(difference(eval(sum<Dimensions...>(x)),
                       reduced(extents, dense_values(extents, 1), {Dimensions...}, sum_of)) == "");
      CHECK(difference(eval(maximum<Dimensions...>(x)),
                       reduced(extents, dense_values(extents, 1), {Dimensions...}, maximum_of)) == "");
    };
    check(std::type_identity<On<"x">>{}, {1 << 20}, std::integer_sequence<int, 0>{});
    check(std::type_identity<On<"x", _>>{}, {100003, 3}, std::integer_sequence<int, 0>{});
    check(std::type_identity<On<_, "x">>{}, {3, 100003}, std::integer_sequence<int, 1>{});
    check(std::type_identity<On<_, "x", _>>{}, {700, 3, 500}, std::integer_sequence<int, 0, 2>{});
    check(std::type_identity<On<"x", "y", _>>{}, {5, 40000, 7}, std::integer_sequence<int, 1>{});
  });
}

TEST_CASE("sums of float are kept in double on each rank") {
  Mesh<Axis<"x">> const mesh(runtime(), {ranks()});
  ShardedTensor<Mesh<Axis<"x">>, Spec<"x", _>> const many(mesh, {ranks(), 1 << 17});
  fill(many, [](GlobalIndex<2> const& index) {
    return index[1] == 0 ? 16777216.0 : index[1] == 1 ? -16777216.0 : 1.0;
  });
  auto const rows = eval(sum<1>(many));
  CHECK(rows.local_size() == 1);
  CHECK(rows.data()[0] == (1 << 17) - 2);
}

// ---- Cases

TEST_CASE("A1: the mean over dimensions is the sum over the global count, however uneven or empty the shards") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const count = [](std::int64_t, std::int64_t position) { return static_cast<double>(position); };
    CHECK(difference(eval(mean<0, 1>(filled<On<"x,y", _>>(mesh, {3, 4}, 0, count))), {5.5}) == "");
    CHECK(difference(eval(mean<0, 1>(filled<On<"x,y", _>>(mesh, {1, 4}, 0, count))), {1.5}) == "");
    CHECK(difference(eval(mean<0>(filled<On<"x,y", _>>(mesh, {3, 4}, 0, count))), {4, 5, 6, 7}) == "");
  });
}

TEST_CASE("B2: the norm of an unreduced sum is that of the reduced tensor") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const parts = filled<On<"y", _, partial("x")>>(mesh, {3, 4}, 1);
    CHECK(difference(eval(norm<1>(reshard<Spec<"y", _>>(parts))),
                     reduced({3, 4}, dense_values_of(parts, 1), {1}, norm_of), 1e-14) == "");
  });
}

TEST_CASE(
    "trap: what fills up short shards is no element: the largest of [-3, -1, -2] is -1, and of nothing minus infinity") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x,y"> const x(mesh, {3});
    fill(x, [](GlobalIndex<1> const& index) { return index[0] == 0 ? -3.0 : index[0] == 1 ? -1.0 : -2.0; });
    CHECK(difference(eval(maximum<0>(x)), {-1}) == "");
    CHECK(exact_difference(eval(maximum<0>(On<"x,y">(mesh, {0}))), {-infinity}) == "");
    CHECK(difference(eval(sum<0>(On<"x,y">(mesh, {0}))), {0}) == "");
  });
}

TEST_CASE("a repeated reduction allocates nothing") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<"x", "y">>(mesh, {1 << 10, 1 << 7}, 1);
  auto run = [&] {
    (void)eval(sum<0>(x));
    (void)eval(maximum<1>(x));
    return runtime().memory()->allocations<On<"x">::memory_space>();
  };
  auto const first = run();
  CHECK(run() == first);
}

TEST_CASE("BFloat16 is computed with in float and in double, and rounded once on each rank") {
  using Small = ShardedTensor<TwoAxes, Spec<"x", "y">, BFloat16>;
  on_every_mesh([](TwoAxes const& mesh) {
    Small const x(mesh, {6, 5});
    fill(x, [](GlobalIndex<2> const& index) { return static_cast<float>(index[0] * 5 + index[1]); });
    Values dense;
    for (int i = 0; i < 30; ++i) dense.push_back(i);
    auto const largest = eval(maximum<0>(x));
    static_assert(std::is_same_v<typename decltype(largest)::value_type, BFloat16>);
    CHECK(difference(largest, reduced({6, 5}, dense, {0}, maximum_of)) == "");
    CHECK(difference(eval(minimum<1>(2 * x)), {0, 10, 20, 30, 40, 50}) == "");
    CHECK(difference(eval(sum<1>(x)), {10, 35, 60, 85, 110, 135}) == "");
    CHECK(difference(eval(mean<0>(x)), {12.5, 13.5, 14.5, 15.5, 16.5}) == "");
    CHECK(sum(x) == 435);
    CHECK(maximum(x) == 29);
  });
}
