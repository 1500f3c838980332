// SPDX-License-Identifier: Apache-2.0
// Pointwise expressions that broadcast trailing dimensions as NumPy does: values against plain loops, gradients against
// central differences, launches and communication counted, and what is refused at run time.
#include "central_differences.hpp"
#include "two_ledgers.hpp"
#include "wrong_inputs.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/index/expand_dims.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <class T, AxisNames... Entries>
using Tensor = ShardedTensor<TwoAxes, Spec<Entries...>, T>;
template <AxisNames... Entries>
using On = Tensor<double, Entries...>;

/// Even, uneven, with empty blocks, and without elements.
std::vector<Extents> const shapes = {{4, 8}, {5, 3}, {1, 2}, {2, 1}, {0, 3}, {3, 0}};

double positive(std::int64_t seed, std::int64_t position) { return 1.5 + smooth(seed, position); }

// ---- NumPy's rule, by loops

template <class Tensor>
Dense dense_of(Tensor const& tensor) {
  return {tensor.extents(), collected(tensor)};
}

/// Returns the element of `operand` that stands beside the element at `index` of the result: dimensions count from the
/// last one, and the only index of a dimension of extent 1 stands beside every index.
double element_beside(Dense const& operand, Extents const& index) {
  int const missing = index.size() - operand.extents.size();
  std::int64_t position = 0;
  for (int d = 0; d < operand.extents.size(); ++d)
    position = position * operand.extents[d] + (operand.extents[d] == 1 ? 0 : index[d + missing]);
  return operand.values[static_cast<std::size_t>(position)];
}

Extents broadcast_extents(std::vector<Dense> const& operands) {
  int rank = 0;
  for (Dense const& operand : operands) rank = std::max(rank, operand.extents.size());
  Extents result;
  for (int d = 0; d < rank; ++d) {
    std::int64_t extent = 1;
    for (Dense const& operand : operands) {
      int const own = d - (rank - operand.extents.size());
      if (own >= 0 && operand.extents[own] != 1) extent = operand.extents[own];
    }
    result.push_back(extent);
  }
  return result;
}

/// Returns `function` of each element of the result.
template <class Function, class... Operands>
Dense broadcast_map(Function const& function, Operands const&... operands) {
  Extents const extents = broadcast_extents({operands...});
  Dense result{extents, {}};
  std::int64_t count = 1;
  for (std::int64_t extent : extents) count *= extent;
  for (std::int64_t position = 0; position < count; ++position) {
    Extents index = extents;
    std::int64_t rest = position;
    for (int d = extents.size() - 1; d >= 0; --d) {
      index[d] = rest % extents[d];
      rest /= extents[d];
    }
    result.values.push_back(static_cast<double>(function(element_beside(operands, index)...)));
  }
  return result;
}

/// Compares an expression of tensors with the same function of numbers: each rank's block, replicas included.
template <class Function, class... Tensors>
void check_values(double tolerance, Function const& function, Tensors const&... tensors) {
  INFO(((gshard::detail::text_of<TwoAxes>(Tensors::layout) + " " + gshard::detail::text_of(tensors.extents()) + "; ") +
        ...));
  Dense const expected = broadcast_map(function, dense_of(tensors)...);
  auto const result = eval(function(tensors...));
  CHECK(result.extents() == expected.extents);
  CHECK(difference(result, expected.values, tolerance) == "");
}

auto const plus = [](auto const& a, auto const& b) { return a + b; };
auto const minus = [](auto const& a, auto const& b) { return a - b; };
auto const times = [](auto const& a, auto const& b) { return a * b; };
auto const over = [](auto const& a, auto const& b) { return a / b; };

/// Both orders of two operands.
template <class X, class B>
void check_both_orders(TwoAxes const& mesh, Extents const& x_extents, Extents const& b_extents) {
  auto const x = filled<X>(mesh, x_extents, 1);
  auto const b = filled<B>(mesh, b_extents, 2);
  check_values(0, minus, x, b);
  check_values(0, minus, b, x);
  static_assert(std::is_same_v<decltype(eval(x + b)), X>);
  static_assert(std::is_same_v<decltype(eval(b + x)), X>);
}

/// One layout in which the bias is whole and the columns are split, and one in which both are split.
template <class T>
void check_biases_of() {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      check_both_orders<Tensor<T, _, "y">, Tensor<T, _>>(mesh, extents, {extents[1]});
      check_both_orders<Tensor<T, "x", "y">, Tensor<T, "y">>(mesh, extents, {extents[1]});
    }
  });
}

}  // namespace

// ---- Values

TEST_CASE("a bias, whole or split as the columns, on either side") {
  check_biases_of<double>();
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      Extents const bias = {extents[1]};
      check_both_orders<On<_, _>, On<_>>(mesh, extents, bias);
      check_both_orders<On<"x", _>, On<_>>(mesh, extents, bias);
      check_both_orders<On<_, "y">, On<"y">>(mesh, extents, bias);
    }
  });
}
TEST_CASE("a bias in float") { check_biases_of<float>(); }
TEST_CASE("a bias in BFloat16") { check_biases_of<BFloat16>(); }
TEST_CASE("a bias of integers") { check_biases_of<int>(); }

TEST_CASE("a bias beside dimensions that two axes split") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      Extents const bias = {extents[1]};
      check_both_orders<On<"x", "y">, On<_>>(mesh, extents, bias);
      check_both_orders<On<"y", "x">, On<"x">>(mesh, extents, bias);
      check_both_orders<On<"x,y", _>, On<_>>(mesh, extents, bias);
      check_both_orders<On<_, "y,x">, On<_>>(mesh, extents, bias);
      check_both_orders<On<_, "y,x">, On<"y,x">>(mesh, extents, bias);
    }
  });
}

TEST_CASE("all operators and functions of two operands") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, positive);
    auto const b = filled<On<_>>(mesh, {3}, 2, positive);
    check_values(1e-15, plus, x, b);
    check_values(1e-15, times, x, b);
    check_values(1e-15, times, b, x);
    check_values(1e-15, over, x, b);
    check_values(1e-15, over, b, x);
    CHECK(difference(
              eval(maximum(x, b)),
              broadcast_map([](double p, double q) { return std::max(p, q); }, dense_of(x), dense_of(b)).values) == "");
    auto const is_less = eval(b < x);
    static_assert(std::is_same_v<std::remove_const_t<decltype(is_less)>::value_type, int>);
    CHECK(difference(
              is_less,
              broadcast_map([](double p, double q) { return q < p ? 1 : 0; }, dense_of(x), dense_of(b)).values) == "");
  });
}

TEST_CASE("a column, of a dimension that its type fixes to 1") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      Extents const column = {extents[0], 1};
      check_both_orders<On<_, _>, On<_, extent(1)>>(mesh, extents, column);
      check_both_orders<On<"x", _>, On<_, extent(1)>>(mesh, extents, column);
      check_both_orders<On<"x", _>, On<"x", extent(1)>>(mesh, extents, column);
      check_both_orders<On<"x", "y">, On<"x", extent(1)>>(mesh, extents, column);
      check_both_orders<On<"x", "y">, On<_, extent(1)>>(mesh, extents, column);
      check_both_orders<On<_, "y,x">, On<_, extent(1)>>(mesh, extents, column);
    }
  });
}

TEST_CASE("a row with a first dimension of 1, and a matrix of one element") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      check_both_orders<On<"x", "y">, On<extent(1), _>>(mesh, extents, {1, extents[1]});
      check_both_orders<On<"x", "y">, On<extent(1), "y">>(mesh, extents, {1, extents[1]});
      check_both_orders<On<"y", _>, On<extent(1), extent(1)>>(mesh, extents, {1, 1});
      check_both_orders<On<"y", "x">, On<extent(1)>>(mesh, extents, {1});
    }
  });
}

TEST_CASE("a scalar: of no dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      check_both_orders<On<_, _>, On<>>(mesh, extents, {});
      check_both_orders<On<"x", "y">, On<>>(mesh, extents, {});
      check_both_orders<On<_, "x,y">, On<>>(mesh, extents, {});
    }
    for (Extents const& extents : {Extents{0}, Extents{1}, Extents{5}, Extents{8}}) {
      check_both_orders<On<_>, On<>>(mesh, extents, {});
      check_both_orders<On<"x">, On<>>(mesh, extents, {});
      check_both_orders<On<"y,x">, On<extent(1)>>(mesh, extents, {1});
    }
    check_both_orders<On<extent(1)>, On<>>(mesh, {1}, {});
    check_values(0, plus, filled<Tensor<int, "x", _>>(mesh, {3, 2}, 1), filled<Tensor<int>>(mesh, {}, 2));
    check_values(0, times, filled<Tensor<BFloat16, "x", _>>(mesh, {3, 2}, 1), filled<Tensor<BFloat16>>(mesh, {}, 2));
  });
}

TEST_CASE("three dimensions: a dimension of 1 in the middle, at either end, and left out") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& e : {Extents{4, 2, 6}, Extents{3, 5, 2}, Extents{2, 1, 3}, Extents{2, 0, 3}}) {
      check_both_orders<On<"x", _, "y">, On<"x", extent(1), "y">>(mesh, e, {e[0], 1, e[2]});
      check_both_orders<On<"x", _, "y">, On<_, extent(1), "y">>(mesh, e, {e[0], 1, e[2]});
      check_both_orders<On<"x", "y", _>, On<_, extent(1), _>>(mesh, e, {e[0], 1, e[2]});
      check_both_orders<On<_, "x,y", _>, On<extent(1), "x,y", extent(1)>>(mesh, e, {1, e[1], 1});
      check_both_orders<On<"y", "x", _>, On<extent(1), "x", extent(1)>>(mesh, e, {1, e[1], 1});
      check_both_orders<On<"x", _, "y">, On<_, extent(1)>>(mesh, e, {e[1], 1});
      check_both_orders<On<"x", "y", _>, On<"y", _>>(mesh, e, {e[1], e[2]});
      check_both_orders<On<"x", "y", _>, On<_, _>>(mesh, e, {e[1], e[2]});
      check_both_orders<On<"x", _, "y">, On<_>>(mesh, e, {e[2]});
      check_both_orders<On<"x", _, "y">, On<>>(mesh, e, {});
      check_both_orders<On<"x", _, "y">, On<"x", extent(1), extent(1)>>(mesh, e, {e[0], 1, 1});
    }
  });
}

TEST_CASE("four dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& e : {Extents{4, 3, 2, 5}, Extents{2, 2, 4, 1}, Extents{1, 3, 1, 2}, Extents{2, 3, 0, 2}}) {
      using X = On<"x", _, "y", _>;
      check_both_orders<X, On<_, "y", _>>(mesh, e, {e[1], e[2], e[3]});
      check_both_orders<X, On<_, _>>(mesh, e, {e[2], e[3]});
      check_both_orders<X, On<_, extent(1), _>>(mesh, e, {e[1], 1, e[3]});
      check_both_orders<X, On<"x", extent(1), "y", extent(1)>>(mesh, e, {e[0], 1, e[2], 1});
      check_both_orders<X, On<extent(1), _, extent(1), _>>(mesh, e, {1, e[1], 1, e[3]});
      check_both_orders<X, On<_, extent(1), extent(1), extent(1)>>(mesh, e, {e[0], 1, 1, 1});
    }
  });
}

TEST_CASE("several broadcast operands in one expression, of which none has to stand first") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1);
      auto const gain = filled<On<"y">>(mesh, {extents[1]}, 2);
      auto const bias = filled<On<_>>(mesh, {extents[1]}, 3);
      auto const column = filled<On<"x", extent(1)>>(mesh, {extents[0], 1}, 4);
      auto const scalar = filled<On<>>(mesh, {}, 5);
      check_values(
          0,
          [](auto const& g, auto const& a, auto const& b, auto const& c, auto const& s) {
            return s * (c - g * a) + (b + s) * 2 - a * a * 3 + c;
          },
          gain, x, bias, column, scalar);
      auto const other = filled<On<"x", "y">>(mesh, extents, 6);
      check_values(
          0, [](auto const& s, auto const& b, auto const& p, auto const& q) { return (s + b) * p - q * (b - 1); },
          scalar, bias, x, other);
    }
  });
}

TEST_CASE("a broadcast operand may broadcast to another one") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _, "y">>(mesh, {3, 2, 5}, 1);
    auto const matrix = filled<On<_, "y">>(mesh, {2, 5}, 2);
    auto const row = filled<On<_>>(mesh, {5}, 3);
    auto const one = filled<On<extent(1)>>(mesh, {1}, 4);
    check_values(
        0,
        [](auto const& o, auto const& r, auto const& m, auto const& a) { return (o - r) * (m + r) - (o * m - r) * a; },
        one, row, matrix, x);
  });
}

TEST_CASE("tensors of a dimension that all types fix to 1 are not broadcast") {
  on_every_mesh([](TwoAxes const& mesh) {
    using Column = On<"x", extent(1)>;
    auto const a = filled<Column>(mesh, {5, 1}, 1);
    auto const b = filled<Column>(mesh, {5, 1}, 2);
    check_values(0, minus, a, b);
    static_assert(std::is_same_v<decltype(eval(a - b)), Column>);
    // A dimension of extent 1 that only one type fixes.
    check_both_orders<On<"x", _>, Column>(mesh, {5, 1}, {5, 1});
  });
}

TEST_CASE("broadcast marks a dimension, expand_dims inserts one: the elements are those of the tensor") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1);
    Dense const dense = dense_of(x);

    auto const column = filled<On<"x", _>>(mesh, {5, 1}, 2);
    auto const marked = broadcast<1>(column);
    static_assert(std::is_same_v<decltype(marked), On<"x", extent(1)> const>);
    static_assert(std::is_same_v<decltype(broadcast<-1>(column)), On<"x", extent(1)>>);
    CHECK(marked.data() == column.data());
    CHECK(difference(eval(x - marked), broadcast_map(minus, dense, dense_of(column)).values) == "");
    CHECK(difference(eval(broadcast<-1>(column) - x), broadcast_map(minus, dense_of(column), dense).values) == "");

    auto const row_norms = filled<On<"x">>(mesh, {5}, 3);
    auto const expanded = expand_dims<-1>(row_norms);
    static_assert(std::is_same_v<decltype(expanded), On<"x", extent(1)> const>);
    static_assert(std::is_same_v<decltype(expand_dims<1>(row_norms)), On<"x", extent(1)>>);
    static_assert(std::is_same_v<decltype(expand_dims<0>(row_norms)), On<extent(1), "x">>);
    static_assert(std::is_same_v<decltype(expand_dims<-2>(row_norms)), On<extent(1), "x">>);
    CHECK(expanded.extents() == Extents{5, 1});
    CHECK(expanded.data() == row_norms.data());
    Dense const as_column = {{5, 1}, collected(row_norms)};
    CHECK(difference(eval(x * expanded), broadcast_map(times, dense, as_column).values) == "");

    auto const cube = filled<On<"x", _, "y">>(mesh, {5, 2, 3}, 4);
    auto const middle = expand_dims<1>(x);
    static_assert(std::is_same_v<decltype(middle), On<"x", extent(1), "y"> const>);
    CHECK(middle.extents() == Extents{5, 1, 3});
    CHECK(difference(eval(middle - cube),
                     broadcast_map(minus, Dense{{5, 1, 3}, dense.values}, dense_of(cube)).values) == "");

    auto const scalar = expand_dims<0>(filled<On<>>(mesh, {}, 5));
    static_assert(std::is_same_v<decltype(scalar), On<extent(1)> const>);
    CHECK(difference(scalar, {small_integer(5, 0)}) == "");

    auto const sums = expand_dims<0>(filled<On<"y", partial("x")>>(mesh, {3}, 6));
    static_assert(std::is_same_v<decltype(sums), On<extent(1), "y", partial("x")> const>);
    CHECK(difference(sums, dense_values({3}, 6, mesh.size<"x">())) == "");
  });
}

TEST_CASE("rows divided by their norms, columns less their means") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, positive);
    std::vector<double> const dense = collected(x);
    std::vector<double> unit(dense), centred(dense);
    for (std::size_t i = 0; i < 5; ++i) {
      double squares = 0;
      for (std::size_t j = 0; j < 3; ++j) squares += dense[i * 3 + j] * dense[i * 3 + j];
      for (std::size_t j = 0; j < 3; ++j) unit[i * 3 + j] /= std::sqrt(squares);
    }
    for (std::size_t j = 0; j < 3; ++j) {
      double total = 0;
      for (std::size_t i = 0; i < 5; ++i) total += dense[i * 3 + j];
      for (std::size_t i = 0; i < 5; ++i) centred[i * 3 + j] -= total / 5;
    }
    CHECK(difference(eval(x / expand_dims<-1>(norm<-1>(x))), unit, 1e-14) == "");
    CHECK(difference(eval(x - mean<0>(x)), centred, 1e-14) == "");
  });
}

TEST_CASE("where: the condition or what is selected may be broadcast") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1);
      auto const b = filled<On<_>>(mesh, {extents[1]}, 2);
      auto const mask = filled<Tensor<int, "x", extent(1)>>(
          mesh, {extents[0], 1}, 3, [](std::int64_t, std::int64_t position) { return position % 2 == 0 ? 1.0 : 0.0; });
      auto const select = [](double c, double p, double q) { return c != 0 ? p : q; };
      CHECK(difference(eval(where(mask, x, b)),
                       broadcast_map(select, dense_of(mask), dense_of(x), dense_of(b)).values) == "");
      CHECK(difference(
                eval(where(x > 0, b, x)),
                broadcast_map([](double p, double q) { return p > 0 ? q : p; }, dense_of(x), dense_of(b)).values) ==
            "");
      CHECK(difference(
                eval(where(mask, x, 7)),
                broadcast_map([](double c, double p) { return c != 0 ? p : 7; }, dense_of(mask), dense_of(x)).values) ==
            "");
    }
  });
}

TEST_CASE("unreduced sums times a whole broadcast operand, and plus sums that are broadcast") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      using Sums = On<_, "y", partial("x")>;
      auto const sums = filled<Sums>(mesh, extents, 1);
      auto const whole = filled<On<_>>(mesh, {extents[1]}, 20);
      auto const split = filled<On<"y">>(mesh, {extents[1]}, 21);
      auto const column = filled<On<_, extent(1)>>(mesh, {extents[0], 1}, 22);
      auto const scalar = filled<On<>>(mesh, {}, 23);
      auto const bias = filled<On<"y", partial("x")>>(mesh, {extents[1]}, 24);
      static_assert(std::is_same_v<decltype(eval(whole * sums)), Sums>);
      check_values(0, times, sums, whole);
      check_values(0, times, split, sums);
      check_values(0, times, sums, column);
      check_values(0, times, scalar, sums);
      check_values(0, plus, sums, bias);
      check_values(0, minus, bias, sums);
      check_values(
          0, [](auto const& s, auto const& w, auto const& c, auto const& b) { return s * (w + 1) * c - b * 2; }, sums,
          whole, column, bias);
    }
  });
}

TEST_CASE("einsums in an expression: with a bias, and as the bias") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const a = filled<On<"x", _>>(mesh, {5, 2}, 1);
    auto const b = filled<On<_, "y">>(mesh, {2, 3}, 2);
    auto const v = filled<On<_>>(mesh, {2}, 3);
    auto const bias = filled<On<_>>(mesh, {3}, 4);
    Dense const product = dense_einsum("ab,bc->ac", {dense_of(a), dense_of(b)});
    Dense const row = dense_einsum("a,ab->b", {dense_of(v), dense_of(b)});
    CHECK(difference(eval(einsum<"ab,bc->ac">(a, b) + bias), broadcast_map(plus, product, dense_of(bias)).values) ==
          "");
    CHECK(difference(eval(einsum<"a,ab->b">(v, b) - einsum<"ab,bc->ac">(a, b)),
                     broadcast_map(minus, row, product).values) == "");
  });
}

TEST_CASE("blocks larger than the pieces that threads take, of long and of short rows") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{3, 70000}, Extents{70000, 3}, Extents{260, 520}}) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1);
      check_values(0, minus, x, filled<On<"y">>(mesh, {extents[1]}, 2));
      check_values(0, minus, filled<On<"x", extent(1)>>(mesh, {extents[0], 1}, 3), x);
      check_values(0, minus, x, filled<On<>>(mesh, {}, 4));
    }
    auto const cube = filled<On<"x", _, "y">>(mesh, {40, 50, 60}, 1);
    check_values(0, minus, cube, filled<On<_, extent(1), _>>(mesh, {40, 1, 60}, 2));
  });
}

// ---- Into a tensor that exists

TEST_CASE("assign broadcasts what it is given, and allocates nothing") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      using Y = On<"x", "y">;
      auto const y = filled<Y>(mesh, extents, 1);
      auto const x = filled<Y>(mesh, extents, 2);
      auto const bias = filled<On<_>>(mesh, {extents[1]}, 3);
      auto const column = filled<On<"x", extent(1)>>(mesh, {extents[0], 1}, 4);
      auto const scalar = filled<On<>>(mesh, {}, 5);
      Dense const old = dense_of(y), dense_x = dense_of(x), dense_bias = dense_of(bias),
                  dense_column = dense_of(column), dense_scalar = dense_of(scalar);
      auto const allocations = runtime().memory()->allocations<Y::memory_space>();
      auto const first = [](double, double b) { return b; };

      assign(y, bias);
      CHECK(difference(y, broadcast_map(first, old, dense_bias).values) == "");
      assign(y, scalar);
      CHECK(difference(y, broadcast_map(first, old, dense_scalar).values) == "");
      assign(y, column * 2 - scalar);
      CHECK(difference(
                y, broadcast_map([](double, double c, double s) { return 2 * c - s; }, old, dense_column, dense_scalar)
                       .values) == "");
      assign(y, bias - x);
      CHECK(difference(y, broadcast_map(minus, dense_bias, dense_x).values) == "");
      assign(y, (y + bias) * column);
      CHECK(difference(y, broadcast_map([](double p, double b, double c) { return (b - p + b) * c; }, dense_x,
                                        dense_bias, dense_column)
                              .values) == "");
      CHECK(runtime().memory()->allocations<Y::memory_space>() == allocations);
    }
  });
}

TEST_CASE("+= and -= broadcast") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : shapes) {
      auto y = filled<On<"x", "y">>(mesh, extents, 1);
      auto const bias = filled<On<"y">>(mesh, {extents[1]}, 3);
      auto const column = filled<On<_, extent(1)>>(mesh, {extents[0], 1}, 4);
      auto const scalar = filled<On<>>(mesh, {}, 5);
      Dense const expected = broadcast_map([](double p, double b, double c, double s) { return p + b - c * s + 2 * s; },
                                           dense_of(y), dense_of(bias), dense_of(column), dense_of(scalar));
      y += bias;
      y -= column * scalar;
      y += 2 * scalar;
      CHECK(difference(y, expected.values) == "");
    }
  });
}

TEST_CASE("unreduced sums are assigned to unreduced sums") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto y = filled<On<_, "y", partial("x")>>(mesh, {5, 3}, 1);
    auto const bias = filled<On<"y", partial("x")>>(mesh, {3}, 20);
    Dense const expected = broadcast_map([](double p, double b) { return p + 2 * b; }, dense_of(y), dense_of(bias));
    y += 2 * bias;
    CHECK(difference(y, expected.values) == "");
  });
}

// ---- Kernels and memory

namespace {

std::int64_t map_launches = 0;
std::int64_t other_launches = 0;

void count_launch(char const* name, std::uint32_t, std::uint64_t*) {
  ++(std::string_view(name).starts_with("gshard::map") ? map_launches : other_launches);
}

/// Counts the kernels that are launched while it lives.
struct CountedLaunches {
  Kokkos::Tools::Experimental::EventSet const before = Kokkos::Tools::Experimental::get_callbacks();

  CountedLaunches() {
    map_launches = other_launches = 0;
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(&count_launch);
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(&count_launch);
    Kokkos::Tools::Experimental::set_begin_parallel_scan_callback(&count_launch);
  }
  ~CountedLaunches() { Kokkos::Tools::Experimental::set_callbacks(before); }
};

template <class Action>
void check_one_kernel(Action const& action) {
  Ledger& ledger = runtime().ledger();
  ledger.clear();
  ledger.open();
  {
    CountedLaunches const counted;
    action();
    CHECK(map_launches == 1);
    CHECK(other_launches == 0);
  }
  ledger.close();
  CHECK(ledger.work().size() == 1);
  CHECK(ledger.work().front().operation == "map");
  CHECK(ledger.work().front().calls == 1);
  CHECK(ledger.traffic().empty());
}

}  // namespace

TEST_CASE("an expression is one kernel, which reads each operand once and sends nothing") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {512, 256}, 1);
    auto y = filled<On<"x", "y">>(mesh, {512, 256}, 1);
    auto const bias = filled<On<_>>(mesh, {256}, 2);
    auto const gain = filled<On<"y">>(mesh, {256}, 3);
    auto const column = filled<On<"x", extent(1)>>(mesh, {512, 1}, 4);
    auto const scalar = filled<On<>>(mesh, {}, 5);
    check_one_kernel([&] { (void)eval(x + bias); });
    check_one_kernel([&] { (void)eval(scalar * relu(gain * x + bias) / (1 + square(column))); });
    CHECK(runtime().ledger().bytes_touched() ==
          8 * (2 * x.local_size() + gain.local_size() + bias.local_size() + column.local_size() + 1));
    check_one_kernel([&] { (void)eval(x + expand_dims<1>(expand_dims<0>(scalar))); });
    check_one_kernel([&] { assign(y, bias); });
    check_one_kernel([&] { assign(y, column * (gain * y) - x); });
    check_one_kernel([&] { y += bias; });
  });
}

TEST_CASE("a bias is added to a product in the memory of the product") {
  auto allocations_of = [](auto const& compute) {
    std::int64_t count = 0;
    on_ranks(ranks(), [&](Runtime& fresh) {
      TwoAxes const mesh(fresh, two_axis_shapes().front());
      auto const a = filled<On<"x", _>>(mesh, {40, 40}, 1);
      auto const b = filled<On<_, _>>(mesh, {40, 40}, 2);
      auto const bias = filled<On<_>>(mesh, {40}, 3);
      auto const before = fresh.memory()->allocations<On<_>::memory_space>();
      auto const result = compute(einsum<"ab,bc->ac">(a, b), bias);
      count = fresh.memory()->allocations<On<_>::memory_space>() - before;
      CHECK(result.extents() == Extents{40, 40});
    });
    return count;
  };
  auto const alone = allocations_of([](auto product, auto const&) { return eval(std::move(product)); });
  auto const with_bias =
      allocations_of([](auto product, auto const& bias) { return eval(relu(std::move(product) + bias)); });
  CHECK(with_bias == alone);
}

TEST_CASE("operands keep their elements") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<"x", _>>(mesh, {4, 4}, 1);
  auto const bias = filled<On<_>>(mesh, {4}, 2);
  auto const sum = eval(x + bias);
  CHECK(sum.data() != x.data());
  CHECK(difference(x, dense_values({4, 4}, 1)) == "");
  CHECK(difference(bias, dense_values({4}, 2)) == "");
}

TEST_CASE("the ledger of a mesh without ranks has the same") {
  for (auto const& shape : two_axis_shapes()) {
    TwoMeshes<TwoAxes> meshes(shape);
    check_same_ledgers(meshes, [](auto space, auto const& mesh) {
      using Space = typename decltype(space)::type;
      using X = ShardedTensor<TwoAxes, Spec<"x", "y">, double, Space>;
      using Bias = ShardedTensor<TwoAxes, Spec<_>, double, Space>;
      using Column = ShardedTensor<TwoAxes, Spec<"x", extent(1)>, double, Space>;
      X const x(mesh, {5, 3});
      Bias const bias(mesh, {3});
      Column const column(mesh, {5, 1});
      auto const y = eval(x * bias + column);
      assign(y, bias);
      Tape tape;
      auto const recorded = tape.watch(x);
      auto const recorded_bias = tape.watch(bias);
      auto const recorded_column = tape.watch(column);
      tape.backward(sum(recorded * recorded_bias + recorded_column));
    });
  }
}

// ---- Expressions that other operations read

TEST_CASE("reductions of broadcasting expressions") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : {Extents{4, 8}, Extents{5, 3}, Extents{1, 2}}) {
      auto const x = filled<On<"x", "y">>(mesh, extents, 1);
      auto const bias = filled<On<_>>(mesh, {extents[1]}, 2);
      auto const column = filled<On<"x", extent(1)>>(mesh, {extents[0], 1}, 3);
      auto const rows = static_cast<std::size_t>(extents[0]), columns = static_cast<std::size_t>(extents[1]);
      std::vector<double> const values = broadcast_map(plus, dense_of(x), dense_of(bias)).values;
      std::vector<double> row_sums(rows), column_maxima(columns, -1e9), running(values);
      double total = 0, squares = 0;
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) {
          double const value = values[i * columns + j];
          row_sums[i] += value;
          column_maxima[j] = std::max(column_maxima[j], value);
          if (i > 0) running[i * columns + j] += running[(i - 1) * columns + j];
          total += value;
          squares += value * value;
        }
      CHECK(difference(eval(sum<1>(x + bias)), row_sums) == "");
      CHECK(difference(eval(sum<-1>(bias + x)), row_sums) == "");
      CHECK(difference(eval(maximum<0>(x + bias)), column_maxima) == "");
      CHECK(difference(cumulative_sum<0>(x + bias), running) == "");
      CHECK(sum(x + bias) == total);
      CHECK(norm(x + bias) == doctest::Approx(std::sqrt(squares)));
      CHECK(mean(bias + x) == doctest::Approx(total / static_cast<double>(values.size())));
      auto const differences = broadcast_map(minus, dense_of(x), dense_of(column)).values;
      CHECK(maximum(x - column) == *std::max_element(differences.begin(), differences.end()));
    }
  });
}

TEST_CASE("softmax of scores plus a bias") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _>>(mesh, {5, 3}, 1, smooth);
    auto const bias = filled<On<_>>(mesh, {3}, 2, smooth);
    std::vector<double> expected = broadcast_map(plus, dense_of(x), dense_of(bias)).values;
    for (std::size_t i = 0; i < 5; ++i) {
      double total = 0;
      for (std::size_t j = 0; j < 3; ++j) total += std::exp(expected[i * 3 + j]);
      for (std::size_t j = 0; j < 3; ++j) expected[i * 3 + j] = std::exp(expected[i * 3 + j]) / total;
    }
    CHECK(difference(softmax<-1>(x + bias), expected, 1e-14) == "");
  });
}

// ---- Gradients

namespace {

auto const weighted = [](auto&& result) {
  if constexpr (AnyVar<decltype(result)>) return weighted_sum(result);
  else return weighted_sum(eval(std::forward<decltype(result)>(result)));
};

/// Gradients of both operands through three operators, with the second operand on either side.
template <class X, class B>
void check_operand_gradients(TwoAxes const& mesh, Extents const& x_extents, Extents const& b_extents) {
  auto const x = filled<X>(mesh, x_extents, 1, positive);
  auto const b = filled<B>(mesh, b_extents, 2, positive);
  check_gradients([](auto const& p, auto const& q) { return weighted(p * (q - p) / q); }, x, b);
}

/// Even, uneven, and with empty blocks.
std::vector<Extents> const gradient_shapes = {{2, 4}, {5, 3}, {1, 2}};

}  // namespace

TEST_CASE("gradients of x and of a bias, whole and split") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : gradient_shapes) {
      Extents const bias = {extents[1]};
      check_operand_gradients<On<_, _>, On<_>>(mesh, extents, bias);
      check_operand_gradients<On<"x", _>, On<_>>(mesh, extents, bias);
      check_operand_gradients<On<"x", "y">, On<_>>(mesh, extents, bias);
      check_operand_gradients<On<"x", "y">, On<"y">>(mesh, extents, bias);
      check_operand_gradients<On<_, "y">, On<"y">>(mesh, extents, bias);
      check_operand_gradients<On<"x,y", _>, On<_>>(mesh, extents, bias);
    }
  });
}

TEST_CASE("gradients through the four operators, in both orders") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : gradient_shapes)
      check_gradients([](auto const& p, auto const& q) { return weighted((p + q) * (q - p) + p / q - q / p); },
                      filled<On<"x", "y">>(mesh, extents, 1, positive),
                      filled<On<"y">>(mesh, {extents[1]}, 2, positive));
  });
}

TEST_CASE("gradients of columns and scalars") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : gradient_shapes) {
      Extents const column = {extents[0], 1};
      check_operand_gradients<On<"x", "y">, On<"x", extent(1)>>(mesh, extents, column);
      check_operand_gradients<On<"x", "y">, On<_, extent(1)>>(mesh, extents, column);
      check_operand_gradients<On<"y", _>, On<"y", extent(1)>>(mesh, extents, column);
      check_operand_gradients<On<_, "x">, On<extent(1), "x">>(mesh, extents, {1, extents[1]});
      check_operand_gradients<On<"x", "y">, On<>>(mesh, extents, {});
      check_operand_gradients<On<_, _>, On<>>(mesh, extents, {});
      check_operand_gradients<On<_, "y,x">, On<extent(1), extent(1)>>(mesh, extents, {1, 1});
    }
    check_operand_gradients<On<"x">, On<>>(mesh, {5}, {});
  });
}

TEST_CASE("gradients in three and four dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_operand_gradients<On<"x", _, "y">, On<"x", extent(1), "y">>(mesh, {3, 2, 3}, {3, 1, 3});
    check_operand_gradients<On<"x", "y", _>, On<_, extent(1), _>>(mesh, {3, 3, 2}, {3, 1, 2});
    check_operand_gradients<On<"x", "y", _>, On<extent(1), "y", extent(1)>>(mesh, {2, 3, 2}, {1, 3, 1});
    check_operand_gradients<On<"x", "y", _>, On<"y", _>>(mesh, {3, 3, 2}, {3, 2});
    check_operand_gradients<On<"x", _, "y", _>, On<_, extent(1), _>>(mesh, {2, 2, 3, 2}, {2, 1, 2});
    check_operand_gradients<On<"x", _, "y", _>, On<_, extent(1), "y", extent(1)>>(mesh, {2, 2, 3, 2}, {2, 1, 3, 1});
  });
}

TEST_CASE("gradients of x, gain, bias and scalar in one expression") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : gradient_shapes) {
      check_gradients(
          [](auto const& x, auto const& gain, auto const& bias, auto const& scalar) {
            return weighted(scalar * tanh(x * gain + bias) + bias * bias - scalar / gain);
          },
          filled<On<"x", "y">>(mesh, extents, 1, smooth), filled<On<"y">>(mesh, {extents[1]}, 2, positive),
          filled<On<"y">>(mesh, {extents[1]}, 3, smooth), filled<On<>>(mesh, {}, 4, positive));
    }
  });
}

TEST_CASE("gradients of functions with derivatives of their own") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, smooth);
    auto const b = filled<On<_>>(mesh, {3}, 2,
                                 [](std::int64_t seed, std::int64_t position) { return 0.3 * smooth(seed, position); });
    check_gradients([](auto const& p, auto const& q) { return weighted(maximum(p, q)); }, x, b);
    check_gradients([](auto const& p, auto const& q) { return weighted(where(p > 0, q, p * q)); }, x, b);
    check_gradients([](auto const& p, auto const& q) { return weighted(exp(q) * p + relu(q - p)); }, x, b);
  });
}

TEST_CASE("gradients through broadcast and expand_dims") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, positive);
    check_gradients([](auto const& p, auto const& q) { return weighted(p * expand_dims<-1>(q)); }, x,
                    filled<On<"x">>(mesh, {5}, 2, positive));
    check_gradients([](auto const& p, auto const& q) { return weighted(broadcast<1>(q) / p); }, x,
                    filled<On<"x", _>>(mesh, {5, 1}, 2, positive));
    check_gradients([](auto const& p, auto const& q) { return weighted(p - expand_dims<0>(exp(q)) * exp(q)); }, x,
                    filled<On<"y">>(mesh, {3}, 2, smooth));
    check_gradients([](auto const& p) { return weighted(p / expand_dims<-1>(norm<-1>(p))); }, x);
    check_gradients([](auto const& p) { return weighted(p - mean<0>(p)); }, x);
  });
}

TEST_CASE("gradients where one operand alone is recorded") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, positive);
    auto const b = filled<On<_>>(mesh, {3}, 2, positive);
    check_gradients([&](auto const& p) { return weighted(p * b + b / p); }, x);
    check_gradients([&](auto const& q) { return weighted(x * q + q / x); }, b);
    check_gradients([&](auto const& q) { return weighted(x + q); }, b);
  });
}

TEST_CASE("gradients through reductions and softmax of broadcasting expressions") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, smooth);
    auto const b = filled<On<"y">>(mesh, {3}, 2, smooth);
    check_gradients([](auto const& p, auto const& q) { return weighted(square(eval(sum<1>(p * q + q)))); }, x, b);
    check_gradients([](auto const& p, auto const& q) { return sum(p * p * q); }, x, b);
    check_gradients([](auto const& p, auto const& q) { return weighted(softmax<-1>(p + q)); },
                    filled<On<"x", _>>(mesh, {5, 3}, 1, smooth), filled<On<_>>(mesh, {3}, 2, smooth));
  });
}

TEST_CASE("gradients of a layer: einsum, bias, activation") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_gradients(
        [](auto const& x, auto const& w, auto const& b) { return weighted(tanh(einsum<"ab,bc->ac">(x, w) + b)); },
        filled<On<"x", _>>(mesh, {3, 2}, 1, smooth), filled<On<_, "y">>(mesh, {2, 3}, 2, smooth),
        filled<On<"y">>(mesh, {3}, 3, smooth));
  });
}

TEST_CASE("gradients of unreduced sums times a whole broadcast operand") {
  on_every_mesh([](TwoAxes const& mesh) {
    for (Extents const& extents : gradient_shapes) {
      auto const sums = filled<On<_, "y", partial("x")>>(mesh, extents, 1, smooth);
      auto const product = [](auto const& p, auto const& q) { return weighted(p * q - p / q + q * p); };
      check_gradients(product, sums, filled<On<_>>(mesh, {extents[1]}, 20, positive));
      check_gradients(product, sums, filled<On<"y">>(mesh, {extents[1]}, 20, positive));
      check_gradients(product, sums, filled<On<_, extent(1)>>(mesh, {extents[0], 1}, 20, positive));
      check_gradients(product, sums, filled<On<>>(mesh, {}, 20, positive));
      check_gradients([](auto const& p, auto const& q) { return weighted(p * 2 - q); }, sums,
                      filled<On<"y", partial("x")>>(mesh, {extents[1]}, 20, smooth));
    }
  });
}

TEST_CASE("without elements the gradient of a bias is zero") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_operand_gradients<On<"x", _>, On<_>>(mesh, {0, 3}, {3});
    check_operand_gradients<On<"x", "y">, On<"x", extent(1)>>(mesh, {3, 0}, {3, 1});
    check_operand_gradients<On<"x", "y">, On<>>(mesh, {3, 0}, {});
  });
}

namespace {

template <class T>
void check_element_type() {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const x = tape.watch(filled<Tensor<T, "x", "y">>(mesh, {5, 3}, 1));
    auto const gain = tape.watch(filled<Tensor<T, _>>(mesh, {3}, 2));
    auto const bias = tape.watch(filled<Tensor<T, "y">>(mesh, {3}, 3));
    auto const y = x * gain + bias;
    auto const value = eval(y);
    using Gradient = Cotangent<std::remove_cvref_t<decltype(value.value())>>;
    tape.backward(value, filled<Gradient>(mesh, {5, 3}, 4));
    auto const given = dense_values({5, 3}, 4), dense_x = dense_values({5, 3}, 1), dense_gain = dense_values({3}, 2);
    std::vector<double> dx(15), dgain(3), dbias(3);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j < 3; ++j) {
        dx[i * 3 + j] = given[i * 3 + j] * dense_gain[j];
        dgain[j] += given[i * 3 + j] * dense_x[i * 3 + j];
        dbias[j] += given[i * 3 + j];
      }
    CHECK(difference(tape.gradient(x), dx) == "");
    CHECK(difference(tape.gradient(gain), dgain) == "");
    CHECK(difference(tape.gradient(bias), dbias) == "");
  });
}

}  // namespace

TEST_CASE("gradients in double, float and BFloat16") {
  check_element_type<double>();
  check_element_type<float>();
  check_element_type<BFloat16>();
}

// ---- Communication of gradients

namespace {

/// What the backward pass of `function(left, right)` sends has to be one all-reduce of at most `elements` doubles over
/// as many ranks as `summing`; nothing where they are one.
template <class Function, class Left, class Right>
void check_all_reduce(Function const& function, Left const& left, Right const& right, std::int64_t elements,
                      int summing) {
  INFO(gshard::detail::text_of<TwoAxes>(Left::layout), " with ", gshard::detail::text_of<TwoAxes>(Right::layout));
  Tape tape;
  auto const recorded_left = tape.watch(left);
  auto const recorded_right = tape.watch(right);
  auto const y = eval(function(recorded_left, recorded_right));
  auto const gradient = filled<std::remove_cvref_t<decltype(y.value())>>(left.mesh(), y.value().extents(), 3);
  Ledger& ledger = runtime().ledger();
  ledger.clear();
  ledger.open();
  tape.backward(y, gradient);
  ledger.close();
  if (summing == 1) {
    CHECK(ledger.traffic().empty());
  } else {
    CHECK(ledger.traffic().size() == 1);
    if (ledger.traffic().empty()) return;
    Ledger::Traffic const& traffic = ledger.traffic().front();
    CHECK(traffic.collective == Collective::all_reduce);
    CHECK(traffic.calls == 1);
    CHECK(traffic.ranks == summing);
    CHECK(traffic.bytes <= 2 * 8 * elements);
  }
}

template <class X, class B>
void check_all_reduce(TwoAxes const& mesh, Extents const& x_extents, Extents const& b_extents, int summing) {
  auto const x = filled<X>(mesh, x_extents, 1, positive);
  auto const b = filled<B>(mesh, b_extents, 2, positive);
  check_all_reduce(plus, x, b, b.local_size(), summing);
  check_all_reduce(times, b, x, b.local_size(), summing);
  check_all_reduce(over, x, b, b.local_size(), summing);
}

}  // namespace

TEST_CASE("the gradient of a bias is one all-reduce over the axes that split the other dimensions") {
  on_every_mesh([](TwoAxes const& mesh) {
    int const rows = mesh.size<"x">(), all = ranks();
    Extents const extents = {8, 24};
    check_all_reduce<On<_, _>, On<_>>(mesh, extents, {24}, 1);
    check_all_reduce<On<"x", _>, On<_>>(mesh, extents, {24}, rows);
    check_all_reduce<On<"x", "y">, On<"y">>(mesh, extents, {24}, rows);
    check_all_reduce<On<_, "y">, On<"y">>(mesh, extents, {24}, 1);
    check_all_reduce<On<"x,y", _>, On<_>>(mesh, extents, {24}, all);
    check_all_reduce<On<"x", "y">, On<>>(mesh, extents, {}, all);
    check_all_reduce<On<"x", _>, On<>>(mesh, extents, {}, rows);
    check_all_reduce<On<"x", "y">, On<"x", extent(1)>>(mesh, extents, {8, 1}, mesh.size<"y">());
    check_all_reduce<On<"x", _>, On<"x", extent(1)>>(mesh, extents, {8, 1}, 1);
    check_all_reduce<On<"x", "y", _>, On<extent(1), "y", _>>(mesh, {8, 24, 2}, {1, 24, 2}, rows);
    check_all_reduce<On<"x", "y", _>, On<_>>(mesh, {8, 24, 2}, {2}, all);
  });
}

TEST_CASE("the gradients of a chain of broadcasting functions send one all-reduce for each operand") {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const x = tape.watch(filled<On<"x", _>>(mesh, {8, 24}, 1, smooth));
    auto const gain = tape.watch(filled<On<_>>(mesh, {24}, 2, smooth));
    auto const bias = tape.watch(filled<On<_>>(mesh, {24}, 3, smooth));
    auto const y = tanh(x * gain + bias);
    auto const value = eval(y);
    auto const gradient = filled<On<"x", _>>(mesh, {8, 24}, 4);
    Ledger& ledger = runtime().ledger();
    ledger.clear();
    ledger.open();
    tape.backward(value, gradient);
    ledger.close();
    CHECK(ledger.calls(Collective::all_reduce) == (mesh.size<"x">() > 1 ? 2 : 0));
    CHECK(ledger.traffic().size() <= 1);
  });
}

// ---- What is refused at run time

TEST_CASE("extents that do not match: the message names operand and dimension") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x", "y"> x(mesh, {4, 5}, "activations");
    On<_> const bias(mesh, {4}, "bias");
    On<"x", extent(1)> const column(mesh, {5, 1}, "column");
    On<_> const one(mesh, {1}, "one");
    On<> const scalar(mesh, "scalar");
    expect_refusal<ExtentError>(
        "plus: bias of another extent", [&] { (void)eval(x + bias); }, "dimension 0 of operand 1 'bias' (4)",
        "dimension 1", "'activations' (4, 5)");
    expect_refusal<ExtentError>(
        "plus: bias first", [&] { (void)eval(bias + x); }, "dimension 0 of operand 0 'bias' (4)", "dimension 1",
        "'activations' (4, 5)");
    expect_refusal<ExtentError>(
        "times: column of another extent", [&] { (void)eval(scalar * x * column); },
        "dimension 0 of operand 2 'column' (5, 1)", "'activations' (4, 5)");
    expect_refusal<ExtentError>(
        "plus: an extent of 1 that the type does not fix", [&] { (void)eval(x + one); },
        "dimension 0 of operand 1 'one' (1)", "dimension 1");
    expect_refusal<ExtentError>(
        "sum: bias of another extent", [&] { (void)sum(x + bias); }, "'bias' (4)", "dimension 0");
    expect_refusal<ExtentError>(
        "sum over a dimension: bias of another extent", [&] { (void)eval(sum<1>(x + bias)); }, "'bias' (4)",
        "dimension 0");
    expect_refusal<ExtentError>(
        "+=: bias of another extent", [&] { x += bias; }, "'bias' (4)", "dimension 0", "'activations' (4, 5)");
    expect_refusal<ExtentError>(
        "assign: bias of another extent", [&] { assign(x, bias); }, "assign", "'bias' (4)", "dimension 0",
        "'activations' (4, 5)");
    expect_refusal<ExtentError>(
        "assign: column of another extent", [&] { assign(x, 2 * column); }, "assign", "'column' (5, 1)", "dimension 0");
    Tape tape;
    auto const recorded = tape.watch(x);
    expect_refusal<ExtentError>(
        "recorded plus: bias of another extent", [&] { (void)(recorded + bias); }, "'bias' (4)", "dimension 0");
  });
}

TEST_CASE("a dimension that is marked keeps its axes: every rank has the same type of tensor, the first all elements") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x", _> const x(mesh, {1, 3});
    auto const marked = broadcast<0>(x);
    static_assert(decltype(marked)::layout == On<"x", _>::layout);
    CHECK(marked.extents() == x.extents());
    CHECK(marked.local_size() == x.local_size());
  });
}

TEST_CASE("a dimension that is marked has extent 1") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x", _> const x(mesh, {4, 3}, "wide");
    expect_refusal<ExtentError>(
        "broadcast: extent of 3", [&] { (void)broadcast<1>(x); }, "broadcast: dimension 1 of x 'wide' (4, 3)",
        "has to be 1");
    expect_refusal<ExtentError>(
        "broadcast: extent of 3", [&] { (void)broadcast<-1>(x); }, "broadcast: dimension 1 of x 'wide' (4, 3)",
        "has to be 1");
    On<"x", _> const empty(mesh, {4, 0}, "empty");
    expect_refusal<ExtentError>(
        "broadcast: extent of 0", [&] { (void)broadcast<1>(empty); }, "broadcast: dimension 1 of x 'empty' (4, 0)",
        "has to be 1");
  });
}

TEST_CASE("unset tensors") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  On<"x", "y"> const x(mesh, {4, 5}, "activations"), no_x;
  On<_> const bias(mesh, {5}, "bias"), no_bias;
  On<"x", "y"> y(mesh, {4, 5}, "y");
  expect_refusal<StateError>("plus: unset bias", [&] { (void)eval(x + no_bias); }, "operand 1 (unset)");
  expect_refusal<StateError>("plus: unset bias first", [&] { (void)eval(no_bias + x); }, "operand 0 (unset)");
  expect_refusal<StateError>("plus: unset matrix", [&] { (void)eval(no_x + bias); }, "operand 0 (unset)");
  expect_refusal<StateError>("plus: unset matrix second", [&] { (void)eval(bias + no_x); }, "operand 1 (unset)");
  expect_refusal<StateError>("plus: both unset", [&] { (void)eval(no_bias + no_x); }, "(unset)");
  expect_refusal<StateError>("assign: unset bias", [&] { assign(y, no_bias); }, "(unset)");
  expect_refusal<StateError>("assign: unset result", [&] { assign(no_x, bias); }, "result (unset)");
  expect_refusal<StateError>("+=: unset bias", [&] { y += no_bias; }, "(unset)");
  expect_refusal_of_unset<On<_>>("sum of x and bias", bias, [&](On<_> const& b) { (void)sum(x + b); });
  expect_refusal_of_unset<On<_>>("expand_dims", bias, [](On<_> const& b) { (void)expand_dims<0>(b); });
  On<"x", _> const column(mesh, {4, 1});
  expect_refusal_of_unset<On<"x", _>>("broadcast", column, [](On<"x", _> const& c) { (void)broadcast<1>(c); });
}

TEST_CASE("tensors on another mesh") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  TwoAxes const other(runtime(), two_axis_shapes().back());
  On<"x", "y"> x(mesh, {4, 5}, "activations");
  On<_> const bias(other, {5}, "bias");
  expect_refusal<MeshError>(
      "plus: bias on another mesh", [&] { (void)eval(x + bias); }, "'bias' (5)", "'activations' (4, 5)", "mesh");
  expect_refusal<MeshError>(
      "plus: bias first", [&] { (void)eval(bias + x); }, "'bias' (5)", "'activations' (4, 5)", "mesh");
  expect_refusal<MeshError>("assign: bias on another mesh", [&] { assign(x, bias); }, "assign", "'bias' (5)");
  expect_refusal<MeshError>("+=: bias on another mesh", [&] { x += bias; }, "'bias' (5)", "'activations' (4, 5)");
}
