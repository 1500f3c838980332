// SPDX-License-Identifier: Apache-2.0
// Pointwise expressions and reductions against plain loops.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <type_traits>

#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

std::vector<Extents> const shapes = {{4, 8}, {5, 3}, {1, 2}, {0, 3}};

double positive(std::int64_t seed, std::int64_t position) { return 1.5 + smooth(seed, position); }

/// One map of two tensors: as the library writes it, and as a function of two numbers.
template <class Expression, class Function>
void check_map(Expression const& expression, Function const& function) {
  for (auto const& mesh_shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), mesh_shape);
    for (Extents const& extents : shapes) {
      auto const a = filled<On<"x", "y">>(mesh, extents, 1, smooth);
      auto const b = filled<On<"x", "y">>(mesh, extents, 2, positive);
      auto const left = dense_values(extents, 1, 1, smooth);
      auto const right = dense_values(extents, 2, 1, positive);
      std::vector<double> expected;
      for (std::size_t i = 0; i < left.size(); ++i) expected.push_back(function(left[i], right[i]));
      CHECK(difference(eval(expression(a, b)), expected, 1e-15) == "");
    }
  }
}

template <class Action>
std::string refusal(Action const& action) {
  try {
    action();
  } catch (Error const& error) {
    return error.what();
  }
  return "nothing thrown";
}

void check_mentions(std::string const& text, std::initializer_list<char const*> parts) {
  for (char const* part : parts) CHECK_MESSAGE(text.find(part) != std::string::npos, "'", part, "' is not in: ", text);
}

}  // namespace

TEST_CASE("functions of one tensor") {
  check_map([](auto const& a, auto const&) { return relu(a); }, [](double x, double) { return x > 0 ? x : 0; });
  check_map([](auto const& a, auto const&) { return exp(a); }, [](double x, double) { return std::exp(x); });
  check_map([](auto const&, auto const& b) { return log(b); }, [](double, double y) { return std::log(y); });
  check_map([](auto const& a, auto const&) { return tanh(a); }, [](double x, double) { return std::tanh(x); });
  check_map([](auto const& a, auto const&) { return sigmoid(a); },
            [](double x, double) { return 1 / (1 + std::exp(-x)); });
  check_map([](auto const&, auto const& b) { return sqrt(b); }, [](double, double y) { return std::sqrt(y); });
  check_map([](auto const& a, auto const&) { return square(a); }, [](double x, double) { return x * x; });
  check_map([](auto const& a, auto const&) { return -a; }, [](double x, double) { return -x; });
}

TEST_CASE("operators of two tensors, and of a tensor and a number") {
  check_map([](auto const& a, auto const& b) { return a + b; }, [](double x, double y) { return x + y; });
  check_map([](auto const& a, auto const& b) { return a - b; }, [](double x, double y) { return x - y; });
  check_map([](auto const& a, auto const& b) { return a * b; }, [](double x, double y) { return x * y; });
  check_map([](auto const& a, auto const& b) { return a / b; }, [](double x, double y) { return x / y; });
  check_map([](auto const& a, auto const&) { return (a + 2) * 3 - 1; },
            [](double x, double) { return (x + 2) * 3 - 1; });
  check_map([](auto const&, auto const& b) { return 1 - 2 * b + 6 / b; },
            [](double, double y) { return 1 - 2 * y + 6 / y; });
  check_map([](auto const& a, auto const&) { return 0.5 + a / 4; }, [](double x, double) { return 0.5 + x / 4; });
}

TEST_CASE("a tree of maps") {
  check_map([](auto const& a, auto const& b) { return relu(a * b + tanh(a - b)) / (1 + square(b)); },
            [](double x, double y) { return std::max(0.0, x * y + std::tanh(x - y)) / (1 + y * y); });
}

TEST_CASE("integers stay integers") {
  using Integers = ShardedTensor<Mesh<Axis<"x">>, Spec<"x">, std::int64_t>;
  Integers const numbers(Mesh<Axis<"x">>(runtime(), {ranks()}), {9});
  fill(numbers, [](GlobalIndex<1> const& index) { return (std::int64_t{1} << 60) + index[0]; });
  auto const next = eval(numbers + 1);
  static_assert(std::is_same_v<std::remove_const_t<decltype(next)>, Integers>);
  for (std::int64_t i = 0; i < next.local_size(); ++i)
    CHECK(next.data()[i] == (std::int64_t{1} << 60) + next.range(0).begin + i + 1);
  CHECK(maximum(numbers) == (std::int64_t{1} << 60) + 8);
  CHECK(minimum(numbers) == std::int64_t{1} << 60);
}

TEST_CASE("linear expressions of unreduced sums") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    auto const a = filled<On<"x", _, partial("y")>>(mesh, {3, 4}, 1);
    auto const b = filled<On<"x", _, partial("y")>>(mesh, {3, 4}, 20);
    auto expected = dense_values_of(a, 1);
    auto const other = dense_values_of(b, 20);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = 2 * expected[i] - other[i] / 4;
    CHECK(difference(eval(2 * a - b / 4), expected) == "");
  }
}

TEST_CASE("an unreduced sum times whole tensors is an unreduced sum") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    auto const sums = filled<On<"x", _, partial("y")>>(mesh, {3, 4}, 1);
    auto const whole = filled<On<"x", _>>(mesh, {3, 4}, 20);
    auto expected = dense_values_of(sums, 1);
    auto const factors = dense_values_of(whole, 20);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] *= factors[i] + 0.5;
    auto const product = eval((whole + 0.5) * sums);
    static_assert(std::is_same_v<decltype(product), decltype(sums)>);
    CHECK(difference(product, expected) == "");
    CHECK(difference(eval(sums / (1 / (whole + 0.5))), expected) == "");
  }
}

namespace {

/// Says neither whether it is linear nor what its derivative is.
struct Cube {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x * x * x;
  }
};

}  // namespace

TEST_CASE("a function of one's own needs a call operator only; an expression becomes the tensor that is declared") {
  check_map([](auto const& a, auto const&) { return map(Cube{}, a); }, [](double x, double) { return x * x * x; });
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<"x", "y">>(mesh, {3, 4}, 1, smooth);
  On<"x", "y"> const y = square(x);
  CHECK(to_vector(y) == to_vector(eval(x * x)));
}

// ---- Reductions

namespace {

template <class Tensor>
void check_reductions(TwoAxes const& mesh, Extents const& extents) {
  auto const tensor = filled<Tensor>(mesh, extents, 1);
  auto const dense = dense_values_of(tensor, 1);
  double const total = std::accumulate(dense.begin(), dense.end(), 0.0);
  INFO(gshard::detail::text_of<TwoAxes>(Tensor::layout), " ", gshard::detail::text_of(extents), " on (", mesh.text(),
       ")");
  CHECK(sum(tensor) == total);
  if (dense.empty()) CHECK(std::isnan(mean(tensor)));
  else CHECK(mean(tensor) == doctest::Approx(total / static_cast<double>(dense.size())));
  if constexpr (Tensor::layout.partial.empty()) {
    double const infinity = std::numeric_limits<double>::infinity();
    CHECK(maximum(tensor) == (dense.empty() ? -infinity : *std::max_element(dense.begin(), dense.end())));
    CHECK(minimum(tensor) == (dense.empty() ? infinity : *std::min_element(dense.begin(), dense.end())));
    CHECK(norm(tensor) ==
          doctest::Approx(std::sqrt(std::inner_product(dense.begin(), dense.end(), dense.begin(), 0.0))));
    CHECK(sum(square(tensor) + 1) ==
          std::inner_product(dense.begin(), dense.end(), dense.begin(), static_cast<double>(dense.size())));
  }
}

}  // namespace

TEST_CASE("A1: sum, mean, maximum, minimum, norm count each element once, however it is held") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    for (Extents const& extents : shapes) {
      check_reductions<On<_, _>>(mesh, extents);
      check_reductions<On<"x", _>>(mesh, extents);
      check_reductions<On<"y", "x">>(mesh, extents);
      check_reductions<On<_, "y,x">>(mesh, extents);
      check_reductions<On<"x", _, partial("y")>>(mesh, extents);
      check_reductions<On<_, _, partial("x,y")>>(mesh, extents);
    }
  }
}

TEST_CASE("the maximum of negative elements is not the 0 of an empty shard") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const negative = filled<On<"x,y">>(
      mesh, {3}, 0, [](std::int64_t, std::int64_t position) { return -1.0 - static_cast<double>(position); });
  CHECK(maximum(negative) == -1);
  CHECK(minimum(-negative) == 1);
}

TEST_CASE("sums of float are kept in double") {
  Mesh<Axis<"x">> const mesh(runtime(), {ranks()});
  ShardedTensor<Mesh<Axis<"x">>, Spec<"x">> const many(mesh, {1 << 17});
  fill(many, [](GlobalIndex<1> const& index) { return index[0] == 0 ? 16777216.0 : 1.0; });
  static_assert(std::is_same_v<decltype(sum(many)), double>);
  CHECK(sum(many) == 16777216.0 + (1 << 17) - 1);
}

// ---- Memory

TEST_CASE("eval never writes into a tensor that somebody holds") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const a = filled<On<"x", _>>(mesh, {4, 4}, 1);
  auto const before = local_values(a);
  auto const squared = eval(square(a));
  CHECK(squared.data() != a.data());
  CHECK(local_values(a) == before);
}

TEST_CASE("eval writes into the memory of an einsum in it: the map takes none of its own") {
  // Each with a pool of its own, so that nothing can be used again.
  auto allocations_of = [](auto const& compute) {
    std::int64_t count = 0;
    on_ranks(ranks(), [&](Runtime& fresh) {
      TwoAxes const mesh(fresh, two_axis_shapes().front());
      auto const a = filled<On<"x", _>>(mesh, {40, 40}, 1);
      auto const b = filled<On<_, _>>(mesh, {40, 40}, 2);
      auto const before = fresh.memory()->allocations<On<_>::memory_space>();
      auto const result = compute(einsum<"ab,bc->ac">(a, b));
      count = fresh.memory()->allocations<On<_>::memory_space>() - before;
      CHECK(result.extents() == Extents{40, 40});
    });
    return count;
  };
  auto const alone = allocations_of([](auto product) { return eval(std::move(product)); });
  auto const with_map = allocations_of([](auto product) { return eval(relu(std::move(product) + 1)); });
  CHECK(with_map == alone);
}

TEST_CASE("an operation with a name goes to its only use by std::move; it runs and communicates once") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", "y">>(mesh, {4, 6}, 1);
    auto const b = filled<On<"y", _>>(mesh, {6, 5}, 2);
    Dense const product =
        dense_einsum("ab,bc->ac", {{a.extents(), dense_values_of(a, 1)}, {b.extents(), dense_values_of(b, 2)}});
    runtime().ledger().clear();
    (void)eval(einsum<"ab,bc->ac">(a, b));
    auto const bytes_of_one = runtime().ledger().bytes_sent();
    runtime().ledger().clear();
    auto named = einsum<"ab,bc->ac">(a, b);
    auto const shifted = eval(2 * std::move(named) + 1);
    CHECK(runtime().ledger().bytes_sent() == bytes_of_one);
    std::vector<double> expected = product.values;
    for (double& value : expected) value = 2 * value + 1;
    CHECK(difference(shifted, expected) == "");
    auto declared = sum<0>(a);
    On<"y"> const sums = std::move(declared);
    CHECK(difference(sums, dense_einsum("ab->b", {{a.extents(), dense_values_of(a, 1)}}).values) == "");
  });
}

TEST_CASE("a pointwise expression of tensors alone may be named and used again") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<"x", _>>(mesh, {5, 3}, 1);
  auto const centered = x - 2;
  auto const y = eval(centered * centered);
  std::vector<double> expected = dense_values_of(x, 1);
  for (double& value : expected) value = (value - 2) * (value - 2);
  CHECK(difference(y, expected) == "");
}

TEST_CASE("eval of a temporary tensor returns it, not a reference to it") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  static_assert(std::is_same_v<decltype(eval(std::declval<On<_>>())), On<_>>);
  static_assert(std::is_same_v<decltype(eval(std::declval<On<_>&>())), On<_> const&>);
  static_assert(std::is_same_v<decltype(eval(std::declval<Var<On<_>>>())), Var<On<_>>>);
  auto const& kept = eval(filled<On<_>>(mesh, {3}, 1));
  CHECK(difference(kept, dense_values({3}, 1)) == "");
}

TEST_CASE("assign computes into a tensor that exists and allocates nothing") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const a = filled<On<"x", "y">>(mesh, {5, 4}, 1);
  auto const b = filled<On<"x", "y">>(mesh, {5, 4}, 2);
  auto const result = filled<On<"x", "y">>(mesh, {5, 4}, 3);
  auto expected = dense_values({5, 4}, 1);
  auto const other = dense_values({5, 4}, 2);
  auto const old = dense_values({5, 4}, 3);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = old[i] - (expected[i] + 2 * other[i]);
  auto const allocations = runtime().memory()->allocations<On<"x", "y">::memory_space>();
  assign(result, result - (a + 2 * b));
  CHECK(runtime().memory()->allocations<On<"x", "y">::memory_space>() == allocations);
  CHECK(difference(result, expected) == "");
}

TEST_CASE("copy makes a tensor of its own") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const a = filled<On<"x", "y">>(mesh, {5, 4}, 1);
  auto const own = copy(a);
  fill_by_position(a, 2);
  CHECK(difference(own, dense_values({5, 4}, 1)) == "");
}

// ---- What is refused at run time

TEST_CASE("extents or meshes that differ: every rank throws, naming both tensors") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  TwoAxes const other(runtime(), two_axis_shapes().back());
  On<"x", _> const a(mesh, {4, 4}, "left");
  On<"x", _> const b(mesh, {4, 5}, "right");
  On<"x", _> const c(other, {4, 4}, "elsewhere");
  check_mentions(refusal([&] { (void)eval(a + b); }), {"'left' (4, 4)", "'right' (4, 5)"});
  check_mentions(refusal([&] { (void)eval(a + c); }), {"'left'", "'elsewhere' (4, 4) on another one"});
  check_mentions(refusal([&] { assign(b, a + a); }), {"(4, 5)", "(4, 4)"});
  check_mentions(refusal([&] { (void)sum(a * b); }), {"(4, 4)", "(4, 5)"});
}
