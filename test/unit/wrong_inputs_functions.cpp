// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of expr/, einsum/ and reduce/: each call is refused by one exception on all ranks, before a message is
// sent and before anything is changed.
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

#include "dense_reference.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Matrix = ShardedTensor<TwoAxes, Spec<"x", "y">, double>;
using Row = ShardedTensor<TwoAxes, Spec<"y">, double>;

struct Unary {
  char const* name;
  std::function<void(Matrix const&)> call;
};

std::vector<Unary> const unary = {
    {"copy", [](Matrix const& x) { (void)copy(x); }},
    {"relu", [](Matrix const& x) { (void)eval(relu(x)); }},
    {"exp", [](Matrix const& x) { (void)eval(exp(x)); }},
    {"log", [](Matrix const& x) { (void)eval(log(x)); }},
    {"tanh", [](Matrix const& x) { (void)eval(tanh(x)); }},
    {"sigmoid", [](Matrix const& x) { (void)eval(sigmoid(x)); }},
    {"sqrt", [](Matrix const& x) { (void)eval(sqrt(x)); }},
    {"square", [](Matrix const& x) { (void)eval(square(x)); }},
    {"negate", [](Matrix const& x) { (void)eval(-x); }},
    {"clamp", [](Matrix const& x) { (void)eval(clamp(x, 0, 1)); }},
    {"leaky_relu", [](Matrix const& x) { (void)eval(leaky_relu(x)); }},
    {"pow of a number", [](Matrix const& x) { (void)eval(pow(x, 2)); }},
    {"less than a number", [](Matrix const& x) { (void)eval(x < 1); }},
    {"where of numbers", [](Matrix const& x) { (void)eval(where(x, 1, 0)); }},
    {"cast", [](Matrix const& x) { (void)eval(cast<float>(x)); }},
    {"map", [](Matrix const& x) { (void)eval(map(functions::Square{}, x)); }},
    {"map of a named function", [](Matrix const& x) { (void)eval(map<functions::Square>(x)); }},
    {"plus a number", [](Matrix const& x) { (void)eval(2 + x + 1); }},
    {"minus a number", [](Matrix const& x) { (void)eval(2 - x - 1); }},
    {"times a number", [](Matrix const& x) { (void)eval(2 * x * 2); }},
    {"divided by a number", [](Matrix const& x) { (void)eval(2 / x / 2); }},
    {"operator*=", [](Matrix x) { x *= 2; }},
    {"einsum of one operand", [](Matrix const& x) { (void)eval(einsum<"ab->ba">(x)); }},
    {"explain of an einsum of one operand", [](Matrix const& x) { (void)explain<"ab->ba">(x); }},
    {"sum over dimensions", [](Matrix const& x) { (void)eval(sum<0>(x)); }},
    {"mean over dimensions", [](Matrix const& x) { (void)eval(mean<0>(x)); }},
    {"maximum over dimensions", [](Matrix const& x) { (void)eval(maximum<0>(x)); }},
    {"minimum over dimensions", [](Matrix const& x) { (void)eval(minimum<0>(x)); }},
    {"norm over dimensions", [](Matrix const& x) { (void)eval(norm<0>(x)); }},
    {"prod over dimensions", [](Matrix const& x) { (void)eval(prod<0>(x)); }},
    {"shard of a reduction", [](Matrix const& x) { (void)shard<Spec<_>>(sum<0>(x)); }},
    {"sum", [](Matrix const& x) { (void)sum(x); }},
    {"mean", [](Matrix const& x) { (void)mean(x); }},
    {"maximum", [](Matrix const& x) { (void)maximum(x); }},
    {"minimum", [](Matrix const& x) { (void)minimum(x); }},
    {"norm", [](Matrix const& x) { (void)norm(x); }},
    {"prod", [](Matrix const& x) { (void)prod(x); }},
    {"cumulative_sum", [](Matrix const& x) { (void)cumulative_sum<0>(x); }},
    {"softmax", [](Matrix const& x) { (void)softmax<-1>(x); }},
    {"log_softmax", [](Matrix const& x) { (void)log_softmax<-1>(x); }},
    {"log_sum_exp", [](Matrix const& x) { (void)log_sum_exp<-1>(x); }},
};

/// Of an empty dimension they have no result.
std::vector<Unary> const choosing = {
    {"argmax", [](Matrix const& x) { (void)argmax<0>(x); }},
    {"argmin", [](Matrix const& x) { (void)argmin<0>(x); }},
};

struct Binary {
  char const* name;
  std::function<void(Matrix const& left, Matrix const& right)> call;
};

std::vector<Binary> const binary = {
    {"plus", [](Matrix const& a, Matrix const& b) { (void)eval(a + b); }},
    {"minus", [](Matrix const& a, Matrix const& b) { (void)eval(a - b); }},
    {"times", [](Matrix const& a, Matrix const& b) { (void)eval(a * b); }},
    {"divided by", [](Matrix const& a, Matrix const& b) { (void)eval(a / b); }},
    {"pow", [](Matrix const& a, Matrix const& b) { (void)eval(pow(a, b)); }},
    {"maximum of two operands", [](Matrix const& a, Matrix const& b) { (void)eval(maximum(a, b)); }},
    {"less", [](Matrix const& a, Matrix const& b) { (void)eval(a < b); }},
    {"logical_and", [](Matrix const& a, Matrix const& b) { (void)eval(logical_and(a, b)); }},
    {"where", [](Matrix const& a, Matrix const& b) { (void)eval(where(a, b, 0)); }},
    {"map of two operands", [](Matrix const& a, Matrix const& b) { (void)eval(map(functions::Plus{}, a, b)); }},
    {"assign", [](Matrix const& a, Matrix const& b) { assign(a, b); }},
    {"operator+=", [](Matrix a, Matrix const& b) { a += b; }},
    {"operator-=", [](Matrix a, Matrix const& b) { a -= b; }},
    {"sum of an expression", [](Matrix const& a, Matrix const& b) { (void)sum(a * b); }},
    {"softmax of an expression", [](Matrix const& a, Matrix const& b) { (void)softmax<1>(a + b); }},
    {"einsum", [](Matrix const& a, Matrix const& b) { (void)eval(einsum<"ab,ab->b">(a, b)); }},
    {"einsum with a declared result", [](Matrix const& a, Matrix const& b) { Row const y = einsum<"ab,ab->b">(a, b); }},
    {"einsum, movable", [](Matrix const& a, Matrix const& b) { (void)eval(einsum<"ab,ab->b">(a, movable(b))); }},
    {"shard of an einsum", [](Matrix const& a, Matrix const& b) { (void)shard<Spec<_>>(einsum<"ab,ab->b">(a, b)); }},
    {"einsum of three operands", [](Matrix const& a, Matrix const& b) { (void)eval(einsum<"ab,ab,ab->b">(a, b, a)); }},
    {"assign of an einsum", [](Matrix const& a, Matrix const& b) { assign(a, einsum<"ab->ab">(b)); }},
    {"assign of an einsum of three operands",
     [](Matrix const& a, Matrix const& b) { assign(a, einsum<"ab,ab,ab->ab">(b, b, b)); }},
    {"operator+= of an einsum", [](Matrix a, Matrix const& b) { a += einsum<"ab->ab">(b); }},
    {"operator-= of an einsum", [](Matrix a, Matrix const& b) { a -= einsum<"ab->ab">(b); }},
    {"explain of an einsum", [](Matrix const& a, Matrix const& b) { (void)explain<"ab,ab->b">(a, b); }},
    {"explain of an einsum of three operands",
     [](Matrix const& a, Matrix const& b) { (void)explain<"ab,ab,ab->b">(a, b, a); }},
};

/// The operand that is a window on the other's letter moves.
using Left = ShardedTensor<TwoAxes, Spec<"x", _>, double>;
struct Moving {
  char const* name;
  std::function<void(Left const& left, Left const& right)> call;
};

std::vector<Moving> const moving = {
    {"einsum, gathered", [](Left const& a, Left const& b) { (void)eval(einsum<"ab,bc->ac">(a, gathered(b))); }},
    {"einsum, in a ring", [](Left const& a, Left const& b) { (void)eval(einsum<"ab,bc->ac">(a, in_ring(b))); }},
    {"explain, in a ring", [](Left const& a, Left const& b) { (void)explain<"ab,bc->ac">(a, in_ring(b)); }},
};

}  // namespace

TEST_CASE("every function of one tensor refuses an unset one, and takes an empty one") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  Matrix const set(mesh, {4, 6}, "set");
  for (Unary const& function : unary) {
    expect_refusal_of_unset<Matrix>(function.name, set, function.call);
    for (Extents const& extents : {Extents{0, 6}, Extents{4, 0}, Extents{0, 0}}) {
      INFO(function.name, " of ", gshard::detail::text_of(extents));
      CHECK(outcome_of([&] { function.call(Matrix(mesh, extents)); }).message == "");
    }
  }
  for (Unary const& function : choosing) {
    expect_refusal_of_unset<Matrix>(function.name, set, function.call);
    expect_refusal<ExtentError>(
        detail::concat(function.name, ": empty dimension"), [&] { function.call(Matrix(mesh, {0, 6}, "x")); },
        "'x' (0, 6)", "dimension 0", "empty");
    CHECK(outcome_of([&] { function.call(Matrix(mesh, {4, 0})); }).message == "");
  }
}

TEST_CASE("every function of two tensors refuses what does not belong together") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    TwoAxes const other(runtime(), shape);
    auto const set = filled<Matrix>(mesh, {4, 6}, 1);
    Matrix const elsewhere(other, {4, 6}, "elsewhere");
    Matrix const longer(mesh, {5, 6}, "longer");
    std::vector<double> const before = collected(set);
    for (Binary const& function : binary) {
      std::string const name(function.name);
      expect_refusal_of_unset<Matrix>(name + ", left", set, [&](Matrix const& x) { function.call(x, set); });
      expect_refusal_of_unset<Matrix>(name + ", right", set, [&](Matrix const& x) { function.call(set, x); });
      expect_refusal<MeshError>(name + ": other mesh", [&] { function.call(set, elsewhere); }, "'elsewhere'", "mesh (");
      expect_refusal<ExtentError>(name + ": other extents", [&] { function.call(set, longer); }, "(5, 6)", "4");
      CHECK_MESSAGE(difference(set, before) == "", name, " changes its operand before it refuses the other");
      CHECK(outcome_of([&] { function.call(Matrix(mesh, {0, 6}), Matrix(mesh, {0, 6})); }).message == "");
    }
    Left const left(mesh, {6, 6});
    for (Moving const& function : moving) {
      std::string const name(function.name);
      expect_refusal_of_unset<Left>(name + ", left", left, [&](Left const& x) { function.call(x, left); });
      expect_refusal_of_unset<Left>(name + ", right", left, [&](Left const& x) { function.call(left, x); });
      expect_refusal<MeshError>(name + ": other mesh", [&] { function.call(left, Left(other, {6, 6})); }, "operand 1");
      expect_refusal<ExtentError>(
          name + ": other extents", [&] { function.call(left, Left(mesh, {5, 6})); }, "letter 'b' has extent 6",
          "operand 1 (5, 6) has 5");
    }
  }
}

TEST_CASE("results that are there already: of reductions, of einsums in a ring") {
  TwoAxes const mesh(runtime(), two_axis_shapes().front());
  auto const x = filled<Matrix>(mesh, {4, 6}, 1);
  Row const row(mesh, {6});
  std::vector<std::pair<std::string, std::function<void(Row)>>> const into = {
      {"assign of a reduction", [&](Row y) { assign(y, sum<0>(x)); }},
      {"operator+= of a reduction", [&](Row y) { y += sum<0>(x); }},
      {"operator-= of a reduction", [&](Row y) { y -= maximum<0>(x); }},
  };
  for (auto const& [name, call] : into) {
    expect_refusal<StateError>(name + ": unset result", [&] { call(Row{}); }, "result (unset)");
    expect_refusal<MeshError>(
        name + ": result on another mesh", [&] { call(Row(TwoAxes(runtime(), two_axis_shapes().front()), {6})); },
        "result (6)");
    expect_refusal<ExtentError>(
        name + ": result of other extents", [&] { call(Row(mesh, {5})); }, "result (5)", "has to be 6");
  }
  using Columns = ShardedTensor<TwoAxes, Spec<_, "x">, double>;
  Columns const a(mesh, {6, 4});
  Left const b(mesh, {4, 6});
  using Scattered = ShardedTensor<TwoAxes, Spec<_, "x">, double>;
  std::vector<std::pair<std::string, std::function<void(Scattered)>>> const by_ring_into = {
      {"assign of an einsum in a ring", [&](Scattered y) { assign(y, in_ring(einsum<"ab,bc->ac">(a, b))); }},
      {"operator+= of an einsum in a ring", [&](Scattered y) { y += in_ring(einsum<"ab,bc->ac">(a, b)); }},
      {"operator-= of an einsum in a ring", [&](Scattered y) { y -= in_ring(einsum<"ab,bc->ac">(a, b)); }},
  };
  for (auto const& [name, call] : by_ring_into) {
    expect_refusal<StateError>(name + ": unset result", [&] { call(Scattered{}); }, "result (unset)");
    expect_refusal<ExtentError>(name + ": result of other extents", [&] { call(Scattered(mesh, {6, 5})); }, "(6, 5)");
  }
  expect_refusal<StateError>(
      "shard of an einsum in a ring: unset operand",
      [&] { (void)shard<Spec<_, "x">>(in_ring(einsum<"ab,bc->ac">(a, Left{}))); }, "operand 1 (unset)");
}

TEST_CASE("counts of an einsum without ranks that exceed 64 bits stay at the largest number") {
  AbstractRuntime machine;
  using Line = Mesh<Axis<"x">>;
  using Huge = ShardedTensor<Line, Spec<_, _>, float, AbstractSpace>;
  Line const mesh(machine, {1});
  std::int64_t const extent = std::int64_t{1} << 27;
  Huge const a(mesh, {extent, extent});
  (void)eval(einsum<"ab,bc->ac">(a, a));
  CHECK(machine.ledger().flops() == std::numeric_limits<std::int64_t>::max());
  CHECK(explain<"ab,bc->ac">(a, a).flops == std::numeric_limits<std::int64_t>::max());
  CHECK(explain<"ab,bc,cd->ad">(a, a, a).text.find("9223372036854775807 multiplications") != std::string::npos);
}
