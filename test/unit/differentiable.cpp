// SPDX-License-Identifier: Apache-2.0
// Operations of a user's own, what tapes keep for the backward pass, and leaves.
#include "central_differences.hpp"
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

/// result[i, j] = left[i, j] * column[j], over a packed block.
struct ScaleKernel {
  double const* left;
  double const* column;
  double* result;
  std::int64_t columns;
  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    result[position] = left[position] * column[position % columns];
  }
};

/// sums[j] = sum_i left[i, j] * right[i, j], over packed blocks.
struct ColumnSumsKernel {
  double const* left;
  double const* right;
  double* sums;
  std::int64_t rows;
  std::int64_t columns;
  KOKKOS_FUNCTION void operator()(std::int64_t column) const {
    double sum = 0;
    for (std::int64_t row = 0; row < rows; ++row) sum += left[row * columns + column] * right[row * columns + column];
    sums[column] = sum;
  }
};

template <class X>
X scaled(X const& x, double const* column) {
  X const result = empty_like(x);
  launch<typename X::memory_space>("scale", x.local_size(),
                                   ScaleKernel{x.data(), column, result.data(), x.local_extent(1)});
  return result;
}

/// y[i, j] = x[i, j] * s[j]: x (I, J), s (J) whole on every rank.
struct ScaleColumns {
  template <int Operand>
  static constexpr Reads reads = Reads::operand(1 - Operand);

  auto forward(AnyTensor auto const& x, AnyTensor auto const& s) const { return scaled(x, s.data()); }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [x, s] = saved.operands;
    auto const& [dx, ds] = gradients;
    if constexpr (is_wanted<decltype(dx)>) dx.add(scaled(gradient, s.data()));
    if constexpr (is_wanted<decltype(ds)>) {
      auto const part = ds.empty_part(gradient, s.extents());
      launch<Kokkos::HostSpace>(
          "column sums", x.local_extent(1),
          ColumnSumsKernel{x.data(), gradient.data(), part.data(), x.local_extent(0), x.local_extent(1)});
      ds.add_part(part);
    }
  }
};
inline constexpr Differentiable<ScaleColumns> scale_columns;

/// y = x^2, which keeps 2 x beside its result, and neither operand nor result.
struct SquareByResiduals {
  template <int>
  static constexpr Reads reads = Reads::nothing();

  auto forward(AnyTensor auto const& x) const { return WithResiduals{eval(x * x), eval(2 * x)}; }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    static_assert(!AnyTensor<decltype(saved.result)>);
    auto const& [x] = saved.operands;
    static_assert(!AnyTensor<decltype(x)>);
    auto const& [dx] = gradients;
    CHECK(x.extents() == gradient.extents());
    dx.add(eval(gradient * saved.residuals));
  }
};

/// y = a^2 + b^2, which keeps 2 a as residuals for the gradient of a, and b for that of b.
struct SquaresByResiduals {
  template <int Operand>
  static constexpr Reads reads = Operand == 0 ? Reads::nothing() : Reads::operand(1);
  template <int Operand>
  static constexpr bool reads_residuals = Operand == 0;

  auto forward(AnyTensor auto const& a, AnyTensor auto const& b) const {
    return WithResiduals{eval(a * a + b * b), eval(2 * a)};
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [da, db] = gradients;
    static_assert(AnyTensor<std::remove_cvref_t<decltype(saved.residuals)>> == is_wanted<decltype(da)>);
    if constexpr (is_wanted<decltype(da)>) da.add(eval(gradient * saved.residuals));
    if constexpr (is_wanted<decltype(db)>) db.add(eval(2 * gradient * std::get<1>(saved.operands)));
  }
};

/// The position of the largest element: an operation of integers without a vjp.
struct ArgmaxOfRows {
  auto forward(AnyTensor auto const& x) const { return argmax<1>(x); }
};

/// The sum of the squares of any number of operands. Each gradient reads its own operand.
struct SumOfSquares {
  template <int Operand>
  static constexpr Reads reads = Reads::operand(Operand);

  auto forward(AnyTensor auto const& first, AnyTensor auto const&... rest) const {
    auto total = eval(first * first);
    ((total += rest * rest), ...);
    return total;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const add = [&](auto const& operand, auto const& target) {
      if constexpr (is_wanted<decltype(target)>) target.add(eval(2 * operand * gradient));
    };
    [&]<std::size_t... Position>(std::index_sequence<Position...>) {
      (add(std::get<Position>(saved.operands), std::get<Position>(gradients)), ...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<decltype(gradients)>>>{});
    static_assert(!AnyTensor<std::tuple_element_t<2, std::remove_cvref_t<decltype(saved.operands)>>>);
  }
};

// The part of a gradient is unreduced over the axes that split the result and not the operand.
static_assert(std::is_same_v<GradientPart<On<_>, On<"x", _>>, On<_, partial("x")>>);
static_assert(std::is_same_v<GradientPart<On<"y">, On<"x", "y">>, On<"y", partial("x")>>);
static_assert(std::is_same_v<GradientPart<On<_>, On<_, _>>, On<_>>);

std::int64_t bytes_in_use() { return runtime().ledger().bytes_in_use(); }

std::int64_t all_reduces() { return runtime().ledger().calls(Collective::all_reduce); }

}  // namespace

// ---- Operations

TEST_CASE("an operation with kernels of its own: values and gradients, of recorded tensors and any mix") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _>>(mesh, {5, 3}, 1, smooth);
    auto const s = filled<On<_>>(mesh, {3}, 2, smooth);
    auto const expected = eval(x * s);
    CHECK(difference(scale_columns(x, s), to_vector(expected), 1e-15) == "");
    check_gradients([](auto const& a, auto const& b) { return weighted_sum(scale_columns(a, b)); }, x, s);
    check_gradients([&](auto const& a) { return weighted_sum(scale_columns(a, s)); }, x);
    check_gradients([&](auto const& b) { return weighted_sum(scale_columns(x, b)); }, s);
    check_gradients([](auto const& a, auto const& b) { return weighted_sum(scale_columns(scale_columns(a, b), b)); }, x,
                    s);
  });
}

TEST_CASE("operands that have not run are evaluated, once") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _>>(mesh, {5, 3}, 1, smooth);
    auto const w = filled<On<_, _>>(mesh, {3, 3}, 2, smooth);
    auto const v = filled<On<_, _>>(mesh, {3, 3}, 4, smooth);
    auto const s = filled<On<_>>(mesh, {3}, 3, smooth);
    check_gradients(
        [&](auto const& a, auto const& b) { return weighted_sum(scale_columns(einsum<"ab,bc->ac">(a, b), sum<0>(v))); },
        x, w);
    CHECK(difference(scale_columns(x + x, s), to_vector(eval((x + x) * s)), 1e-15) == "");
  });
}

TEST_CASE("residuals are kept, operands and results are not") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_gradients([](auto const& x) { return weighted_sum(Differentiable<SquareByResiduals>{}(x)); },
                    filled<On<"x", "y">>(mesh, {5, 3}, 1, smooth));
  });
}

TEST_CASE("residuals are kept only if a gradient that reads them is wanted") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Differentiable<SquaresByResiduals> const squares;
  auto const x = filled<On<_, _>>(mesh, {256, 256}, 1, smooth);
  auto const y = filled<On<_, _>>(mesh, {256, 256}, 2, smooth);
  std::int64_t const one = 256 * 256 * static_cast<std::int64_t>(sizeof(double));
  Tape tape;
  auto const a = tape.watch(x);
  auto const b = tape.watch(y);
  std::int64_t const before = bytes_in_use();
  auto const first = squares(a, y);
  CHECK(bytes_in_use() - before == 2 * one);
  auto const second = squares(x, b);
  CHECK(bytes_in_use() - before == 3 * one);
  tape.backward(eval(sum(first) + sum(second)));
  CHECK(difference(tape.gradient(a), to_vector(eval(2 * x)), 1e-15) == "");
  CHECK(difference(tape.gradient(b), to_vector(eval(2 * y)), 1e-15) == "");
}

TEST_CASE("a result of integers is not recorded") {
  on_every_mesh([](TwoAxes const& mesh) {
    Tape tape;
    auto const x = tape.watch(filled<On<"x", _>>(mesh, {5, 3}, 1, smooth));
    auto const places = Differentiable<ArgmaxOfRows>{}(x);
    static_assert(AnyTensor<decltype(places)>);
    CHECK(to_vector(places) == to_vector(argmax<1>(x.value())));
    // A reduction of input data of integers waits for its spec, and becomes a plain tensor.
    using Ids = ShardedTensor<TwoAxes, Spec<"x", _>, int>;
    auto const ids = cast<int>(10 * x.value());
    ShardedTensor<TwoAxes, Spec<_>, std::int64_t> const counts = sum<1>(tape.input(Ids(ids)));
    CHECK(to_vector(counts) == to_vector(shard<Spec<_>>(sum<1>(Ids(ids)))));
  });
}

namespace {

/// Operations whose `forward` returns an operation that has not run: a reduction, an expression of one, and both beside
/// residuals.
struct RowSums {
  template <int>
  static constexpr Reads reads = Reads::nothing();
  auto forward(AnyTensor auto const& x) const { return sum<1>(x); }
  void vjp(auto const&, auto const& gradient, auto const& gradients) const {
    std::get<0>(gradients).add(eval(broadcast_like(std::get<0>(gradients), gradient)));
  }
  template <class Target, AnyTensor Gradient>
  static auto broadcast_like(Target const&, Gradient const& gradient) {
    typename Target::tensor_type const ones(gradient.mesh(), {gradient.extent(0), 3});
    return ones + expand_dims<1>(gradient);
  }
};
struct TwiceRowSums : RowSums {
  auto forward(AnyTensor auto const& x) const { return 2 * sum<1>(x); }
  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    RowSums{}.vjp(saved, eval(2 * gradient), gradients);
  }
};
struct RowSumsBesideNumber : RowSums {
  auto forward(AnyTensor auto const& x) const { return WithResiduals{sum<1>(x), 3}; }
};

}  // namespace

TEST_CASE("what forward returns may be an operation that has not run") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", _>>(mesh, {5, 3}, 1, smooth);
    std::vector<double> const sums = to_vector(shard<Spec<_>>(sum<1>(x)));
    CHECK(difference(Differentiable<RowSums>{}(x), sums, 1e-15) == "");
    CHECK(difference(eval(0.5 * Differentiable<TwiceRowSums>{}(x)), sums, 1e-15) == "");
    CHECK(difference(Differentiable<RowSumsBesideNumber>{}(x), sums, 1e-15) == "");
    check_gradients([](auto const& p) { return weighted_sum(Differentiable<RowSums>{}(p)); }, x);
    check_gradients([](auto const& p) { return weighted_sum(Differentiable<TwiceRowSums>{}(p)); }, x);
    check_gradients([](auto const& p) { return weighted_sum(Differentiable<RowSumsBesideNumber>{}(p)); }, x);
  });
}

TEST_CASE("a constant tensor that is given up beside a recorded one is not overwritten") {
  on_every_mesh([](TwoAxes const& mesh) {
    On<"x", _> const plain = filled<On<"x", _>>(mesh, {5, 3}, 1, smooth);
    auto const before = local_values(plain);
    Tape tape;
    auto const y = tape.watch(plain) + std::move(plain);  // a const rvalue: a copy of the handle
    CHECK(local_values(plain) == before);
    CHECK(difference(y.value(), to_vector(eval(2 * plain)), 0) == "");
  });
}

TEST_CASE("an operation of 70 operands: those from the 64th on are kept together") {
  static_assert(Reads::operand(62).has_operand(62) && !Reads::operand(62).has_operand(63));
  static_assert(Reads::operand(69).has_operand(63) && !Reads::operand(69).has_operand(62));
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {3, 2}, 1, smooth);
    auto const sum_of_70 = [&](auto const& second, auto const& late) {
      auto const operand = [&]<std::size_t Position>(std::integral_constant<std::size_t, Position>) -> auto const& {
        if constexpr (Position == 1) return second;
        else if constexpr (Position == 66) return late;
        else return x;
      };
      return [&]<std::size_t... Position>(std::index_sequence<Position...>) {
        return Differentiable<SumOfSquares>{}(operand(std::integral_constant<std::size_t, Position>{})...);
      }(std::make_index_sequence<70>{});
    };
    check_gradients([&](auto const& a, auto const& b) { return weighted_sum(sum_of_70(a, b)); },
                    filled<On<"x", "y">>(mesh, {3, 2}, 2, smooth), filled<On<"x", "y">>(mesh, {3, 2}, 3, smooth));
  });
}

TEST_CASE("tensors like another one, and the element of a scalar") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<On<"x", "y">>(mesh, {5, 3}, 1, smooth);
    CHECK(difference(zeros_like(x), std::vector<double>(15, 0), 0) == "");
    CHECK(empty_like(x).extents() == x.extents());
    CHECK((x.local_size() == 0 || !shares_elements(empty_like(x), x)));
    Tape tape;
    CHECK(item(sum(tape.watch(x))) == doctest::Approx(sum(x)));
    CHECK(item(shard<Spec<>>(maximum<0, 1>(x))) == maximum(x));
    ShardedTensor<TwoAxes, Spec<>, BFloat16> const half(mesh);
    static_assert(std::is_same_v<decltype(item(half)), float>);
    CHECK(item(half) == 0);
  });
}

// ---- What is saved

TEST_CASE("sums, differences, conversions and factors keep nothing: a residual stream holds what its branches hold") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<_, _>>(mesh, {512, 1024}, 1, smooth);  // 4 MiB
  std::int64_t const one = 512 * 1024 * static_cast<std::int64_t>(sizeof(double));
  std::int64_t const before = bytes_in_use();
  Tape tape;
  // x + f(x), four times: each tanh keeps its result alone, and the sums keep nothing.
  auto stream = tape.watch(x);
  for (int step = 0; step < 4; ++step) stream = eval(stream + tanh(stream));
  CHECK(bytes_in_use() - before == 5 * one);  // four results of tanh, and the stream as it is now
  auto const scaled = eval(2 * stream - stream);
  CHECK(bytes_in_use() - before == 6 * one);
  tape.backward(sum(scaled));
}

TEST_CASE("an einsum keeps an operand only if the other one wants a gradient") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const w = filled<On<_, _>>(mesh, {256, 256}, 2, smooth);
  std::int64_t const before = bytes_in_use();
  std::int64_t const one = 256 * 256 * static_cast<std::int64_t>(sizeof(double));
  Tape tape;
  auto y = tape.watch(filled<On<_, _>>(mesh, {256, 256}, 1, smooth));
  for (int step = 0; step < 3; ++step) y = eval(einsum<"ab,bc->ac">(y, w));
  CHECK(bytes_in_use() - before == one);
}

TEST_CASE("a function of an operation that has not run writes its result over that of the operation") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<On<_, _>>(mesh, {256, 256}, 1, smooth);
  std::int64_t const one = 256 * 256 * static_cast<std::int64_t>(sizeof(double));
  Tape tape;
  auto const w = tape.watch(filled<On<_, _>>(mesh, {256, 256}, 2, smooth));
  runtime().ledger().clear();
  std::int64_t const before = bytes_in_use();
  auto const y = eval(relu(einsum<"ab,bc->ac">(x, w)));  // the derivative of relu reads the result
  CHECK(runtime().ledger().peak_bytes() - before == one);
  auto const z = eval(square(einsum<"ab,bc->ac">(x, w)));  // that of square reads the operand
  CHECK(bytes_in_use() - before == 3 * one);
  CHECK(difference(y.value(), to_vector(eval(relu(einsum<"ab,bc->ac">(x, w.value())))), 1e-12) == "");
  CHECK(difference(z.value(), to_vector(eval(square(einsum<"ab,bc->ac">(x, w.value())))), 1e-12) == "");
}

TEST_CASE("a dimension of 1 that the types of all tensors fix is not broadcast") {
  on_every_mesh([](TwoAxes const& mesh) {
    check_gradients([](auto const& x) { return weighted_sum(eval(tanh(broadcast<0>(x)) * 2)); },
                    filled<On<"x", _>>(mesh, {1, 3}, 1, smooth));
    using Sums = On<_, extent(1), partial("x")>;
    using Column = On<_, extent(1)>;
    check_gradients([](auto const& p, auto const& w) { return weighted_sum(eval(p * w)); },
                    filled<Sums>(mesh, {3, 1}, 1, smooth), filled<Column>(mesh, {3, 1}, 2, smooth));
  });
}

// ---- Leaves

TEST_CASE("input data takes part in what is recorded; no gradient of it is computed or sent") {
  on_every_mesh([](TwoAxes const& mesh) {
    Ledger& ledger = runtime().ledger();
    Parameter<On<_, _>> w{filled<On<_, _>>(mesh, {3, 2}, 1, smooth), {}};
    auto const x = filled<On<"x", _>>(mesh, {6, 3}, 2, smooth);
    Tape tape;
    auto const input = tape.input(x);
    auto const shifted = eval(input + 1.0);
    static_assert(std::is_same_v<decltype(shifted), Input<On<"x", _>> const>);
    auto const y = eval(einsum<"ab,bc->ac">(shifted, bind(w, shifted)));
    static_assert(std::is_same_v<decltype(y), Var<On<"x", _>> const>);
    auto const loss = sum(y);
    ledger.clear();
    ledger.open();
    tape.backward(loss);
    ledger.close();
    CHECK(all_reduces() == (mesh.size<"x">() > 1 ? 1 : 0));
  });
}

TEST_CASE("a parameter without a value is refused, and leaves nothing on the tape") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Parameter<On<_, _>> w{};
  Tape tape;
  CHECK_THROWS_AS(tape.watch(w), StateError);
  auto const x = tape.watch(filled<On<_, _>>(mesh, {3, 3}, 1, smooth));
  w.value = filled<On<_, _>>(mesh, {3, 3}, 2, smooth);
  tape.backward(sum(eval(einsum<"ab,bc->ac">(x, tape.watch(w)))));
  CHECK(w.has_gradient());
}

TEST_CASE("a recorded tensor that was moved from is refused") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Tape tape;
  auto x = tape.watch(filled<On<_, _>>(mesh, {3, 3}, 1, smooth));
  auto const y = std::move(x);
  CHECK_THROWS_AS((void)tanh(x), StateError);  // NOLINT: that it was moved from is the point
  CHECK(item(sum(einsum<"ab->ab">(y))) == doctest::Approx(sum(y.value())));
}

TEST_CASE("a parameter that is used several times has one gradient, reduced once") {
  on_every_mesh([](TwoAxes const& mesh) {
    Ledger& ledger = runtime().ledger();
    Parameter<On<_, _>> table{filled<On<_, _>>(mesh, {3, 3}, 1, smooth), {}};
    auto const x = filled<On<"x", _>>(mesh, {6, 3}, 2, smooth);
    Tape tape;
    auto const input = tape.input(x);
    auto const once = eval(einsum<"ab,bc->ac">(input, bind(table, input)));
    auto const twice = eval(einsum<"ab,bc->ac">(tanh(once), bind(table, once)));
    auto const loss = sum(twice);
    ledger.clear();
    ledger.open();
    tape.backward(loss);
    ledger.close();
    CHECK(all_reduces() == (mesh.size<"x">() > 1 ? 1 : 0));

    // The same by two parameters, each with a reduction of its own.
    Parameter<On<_, _>> first{table.value, {}}, second{table.value, {}};
    Tape other;
    auto const data = other.input(x);
    auto const hidden = eval(einsum<"ab,bc->ac">(data, bind(first, data)));
    other.backward(sum(eval(einsum<"ab,bc->ac">(tanh(hidden), bind(second, hidden)))));
    CHECK(difference(table.gradient, to_vector(eval(first.gradient + second.gradient)), 1e-12) == "");
  });
}
