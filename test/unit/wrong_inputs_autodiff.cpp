// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of autodiff/: tapes that have run or are gone, recorded tensors of two tapes, gradients that do not fit.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/index.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

#include "dense_reference.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Matrix = ShardedTensor<TwoAxes, Spec<"x", _>, double>;
using Recorded = Var<Matrix>;
using Indices = ShardedTensor<TwoAxes, Spec<_>, int>;

/// The mesh of one case. Operations on its tensors send nothing, so that a refusal behind the operation shows no
/// message.
struct OneMesh {
  inline static TwoAxes const* current = nullptr;
  TwoAxes const of_case{runtime(), {1, ranks()}};
  OneMesh() { current = &of_case; }
  ~OneMesh() { current = nullptr; }
};

TwoAxes const& mesh() { return *OneMesh::current; }

struct Unary {
  char const* name;
  std::function<void(Recorded const&)> call;
};

std::vector<Unary> const unary = {
    {"recorded map", [](Recorded const& x) { (void)relu(x); }},
    {"recorded operators", [](Recorded const& x) { (void)(2 * x + 1 - x / 2); }},
    {"recorded cast", [](Recorded const& x) { (void)cast<float>(x); }},
    {"recorded einsum", [](Recorded const& x) { (void)eval(einsum<"ab->ba">(x)); }},
    {"recorded sum over dimensions", [](Recorded const& x) { (void)eval(sum<0>(x)); }},
    {"recorded mean", [](Recorded const& x) { (void)mean(x); }},
    {"recorded maximum", [](Recorded const& x) { (void)maximum(x); }},
    {"recorded norm", [](Recorded const& x) { (void)norm(x); }},
    {"recorded prod", [](Recorded const& x) { (void)prod(x); }},
    {"recorded softmax", [](Recorded const& x) { (void)softmax<1>(x); }},
    {"recorded log_softmax", [](Recorded const& x) { (void)log_softmax<1>(x); }},
    {"recorded log_sum_exp", [](Recorded const& x) { (void)log_sum_exp<1>(x); }},
    {"recorded cumulative_sum", [](Recorded const& x) { (void)cumulative_sum<0>(x); }},
    {"recorded reshard", [](Recorded const& x) { (void)reshard<Spec<_, "y">>(x); }},
    {"recorded reshard to another mesh",
     [](Recorded const& x) { (void)reshard<Spec<"z", _>>(x, Mesh<Axis<"z">>(runtime(), {ranks()})); }},
    {"recorded replicate", [](Recorded const& x) { (void)replicate(x); }},
    {"recorded split", [](Recorded const& x) { (void)split<1, "y">(x); }},
    {"recorded split_dimension", [](Recorded const& x) { (void)split_dimension<1>(x, 2); }},
    {"recorded reshape", [](Recorded const& x) { (void)reshape<Spec<"x", _, _>>(x, {4, 3, 2}); }},
    {"recorded slice", [](Recorded const& x) { (void)slice<1>(x, 1, 3); }},
    {"recorded pad", [](Recorded const& x) { (void)pad<1>(x, 1, 1); }},
    {"recorded reverse", [](Recorded const& x) { (void)reverse<1>(x); }},
    {"recorded roll", [](Recorded const& x) { (void)roll<1>(x, 1); }},
    {"recorded take", [](Recorded const& x) { (void)take<1>(x, Indices(mesh(), {2})); }},
    {"recorded sort", [](Recorded const& x) { (void)sort<1>(x); }},
    {"recorded top_k", [](Recorded const& x) { (void)top_k<1>(x, 2); }},
    {"recompute", [](Recorded const& x) { (void)recompute([](auto const& y) { return relu(y); }, x); }},
    {"gradient_of", [](Recorded const& x) { (void)gshard::detail::gradient_of(x); }},
    {"bind",
     [](Recorded const& x) {
       Parameter<Matrix> weights{Matrix(mesh(), {4, 6}), {}};
       (void)bind(weights, x);
     }},
};

struct Binary {
  char const* name;
  std::function<void(Recorded const& left, Recorded const& right)> call;
};

std::vector<Binary> const binary = {
    {"recorded plus", [](Recorded const& a, Recorded const& b) { (void)(a + b); }},
    {"recorded times", [](Recorded const& a, Recorded const& b) { (void)(a * b); }},
    {"recorded einsum of two operands",
     [](Recorded const& a, Recorded const& b) { (void)eval(einsum<"ab,ab->a">(a, b)); }},
    {"recorded einsum, movable",
     [](Recorded const& a, Recorded const& b) { (void)eval(einsum<"ab,ab->a">(a, movable(b))); }},
    {"recorded update_slice", [](Recorded const& a, Recorded const& b) { (void)update_slice<0>(a, b, 0); }},
    {"recompute of two inputs",
     [](Recorded const& a, Recorded const& b) {
       (void)recompute([](auto const& c, auto const& d) { return c + d; }, a, b);
     }},
};

}  // namespace

TEST_CASE_FIXTURE(OneMesh, "a recorded tensor is used after its tape is gone, or has run") {
  auto const value = filled<Matrix>(mesh(), {4, 6}, 1, smooth);
  std::vector<Recorded> gone;
  {
    Tape tape;
    gone.push_back(tape.watch(value));
  }
  Tape run;
  Recorded const finished = run.watch(value);
  run.backward(sum(finished));
  for (Unary const& function : unary) {
    std::string const name(function.name);
    expect_refusal<StateError>(name + ": tape is gone", [&] { function.call(gone.front()); }, "Tape is gone");
    if (name != "gradient_of")
      expect_refusal<StateError>(name + ": tape has run", [&] { function.call(finished); }, "has run already");
  }
  expect_refusal<StateError>("Tape::watch: tape has run", [&] { (void)run.watch(value); }, "has run already");
  expect_refusal<StateError>("Tape::backward: second pass", [&] { run.backward(); }, "has run already", "new Tape");
  expect_refusal<StateError>("Tape::gradient: tape is gone", [&] { (void)run.gradient(gone.front()); }, "Tape is gone");
  CHECK(difference(gone.front().value(), dense_values_of(value, 1, smooth)) == "");
  CHECK(difference(run.gradient(finished), std::vector<double>(24, 1)) == "");
}

TEST_CASE_FIXTURE(OneMesh, "a second backward pass on one tape") {
  Tape tape;
  Recorded const x = tape.watch(filled<Matrix>(mesh(), {4, 6}, 1, smooth));
  auto const loss = sum(x * x);
  tape.backward(loss);
  expect_refusal<StateError>(
      "Tape::backward: second pass from the same loss", [&] { tape.backward(loss); }, "has run already", "new Tape");
  expect_refusal<StateError>(
      "Tape::backward: second pass with a seed", [&] { tape.backward(x, Matrix(mesh(), {4, 6})); }, "has run already");
  CHECK(collected(tape.gradient(x)).front() == doctest::Approx(2 * collected(x.value()).front()));
}

TEST_CASE_FIXTURE(OneMesh, "recorded tensors of two tapes, and of two shapes") {
  auto const value = filled<Matrix>(mesh(), {4, 6}, 1, smooth);
  Tape tape;
  Tape other;
  Recorded const x = tape.watch(value);
  Recorded const elsewhere = other.watch(value);
  Recorded const longer = tape.watch(Matrix(mesh(), {5, 6}, "longer"));
  Recorded const far = tape.watch(Matrix(TwoAxes(runtime(), {1, ranks()}), {4, 6}, "far"));
  for (Binary const& function : binary) {
    std::string const name(function.name);
    expect_refusal<StateError>(name + ": two tapes", [&] { function.call(x, elsewhere); }, "two Tapes");
    expect_refusal<MeshError>(name + ": other mesh", [&] { function.call(x, far); }, "'far'");
    expect_refusal<ExtentError>(name + ": other extents", [&] { function.call(x, longer); }, "4");
  }
  auto const loss = sum(x);
  expect_refusal<StateError>("Tape::backward: loss of another tape", [&] { other.backward(loss); }, "on another Tape");
  tape.backward(loss);
  expect_refusal<StateError>(
      "Tape::gradient: recorded on another tape", [&] { (void)tape.gradient(elsewhere); }, "on another Tape");
}

TEST_CASE_FIXTURE(OneMesh, "gradients that nobody keeps, or that are not there yet") {
  auto const value = filled<Matrix>(mesh(), {4, 6}, 1, smooth);
  Parameter<Matrix> parameter{value, {}};
  Tape tape;
  Recorded const x = tape.watch(value);
  Recorded const weights = tape.watch(parameter);
  Recorded const product = x * weights;
  expect_refusal<StateError>(
      "Tape::gradient: before the backward pass", [&] { (void)tape.gradient(x); }, "has not run");
  tape.backward(sum(product));
  expect_refusal<StateError>(
      "Tape::gradient: of a result", [&] { (void)tape.gradient(product); }, "is a result", "watch");
  expect_refusal<StateError>(
      "Tape::gradient: of a parameter", [&] { (void)tape.gradient(weights); }, "parameter.gradient");
  CHECK(parameter.has_gradient());
}

TEST_CASE_FIXTURE(OneMesh, "tapes refuse unset tensors, seeds and gradients that do not fit") {
  auto const value = filled<Matrix>(mesh(), {4, 6}, 1, smooth);
  Tape tape;
  expect_refusal_of_unset<Matrix>("Tape::watch", value, [&](Matrix const& x) { (void)tape.watch(x); });
  expect_refusal_of_unset<Matrix>("Tape::watch of a parameter", value, [&](Matrix const& x) {
    Parameter<Matrix> parameter{x, {}};
    (void)tape.watch(parameter);
  });
  expect_refusal_of_unset<Matrix>("Tape::record", value,
                                  [&](Matrix const& x) { (void)tape.record(x, [](Matrix const&) {}); });
  Recorded const x = tape.watch(value);
  Recorded const y = 2 * x;
  TwoAxes const other(runtime(), {1, ranks()});
  expect_refusal_of_unset<Matrix>("Tape::backward with a seed", value,
                                  [&](Matrix const& seed) { tape.backward(y, seed); });
  expect_refusal<ExtentError>(
      "Tape::backward with a seed: other extents", [&] { tape.backward(y, Matrix(mesh(), {4, 5})); }, "seed (4, 5)",
      "result (4, 6)");
  expect_refusal<MeshError>(
      "Tape::backward with a seed: other mesh", [&] { tape.backward(y, Matrix(other, {4, 6})); }, "seed");
  // What an operation of one's own gives back.
  expect_refusal<ExtentError>(
      "OperandGradient::add: other extents", [&] { gshard::detail::gradient_of(x).add(Matrix(mesh(), {5, 6})); },
      "gradient (5, 6)", "extents (4, 6)");
  expect_refusal<MeshError>(
      "OperandGradient::add: other mesh", [&] { gshard::detail::gradient_of(x).add(Matrix(other, {4, 6})); },
      "another mesh");
  expect_refusal_of_unset<Matrix>("OperandGradient::add", value,
                                  [&](Matrix const& part) { gshard::detail::gradient_of(x).add(part); });
  expect_refusal<ExtentError>(
      "OperandGradient::add_part: other extents",
      [&] {
        gshard::detail::gradient_of(x).add_part(
            ShardedTensor<TwoAxes, Spec<_, _, partial("y")>, double>(mesh(), {4, 7}));
      },
      "gradient (4, 7)");
  tape.backward(sum(y));
  CHECK(difference(tape.gradient(x), std::vector<double>(24, 2)) == "");
}

namespace {

/// An operation whose gradient cannot be computed.
struct FailsBackwards {
  auto forward(AnyTensor auto const& x) const { return copy(x); }
  void vjp(auto const&, auto const&, auto const&) const { throw NonFiniteError("no gradient today"); }
};

}  // namespace

TEST_CASE_FIXTURE(OneMesh, "a backward pass that threw has left no gradients of leaves") {
  Tape tape;
  auto const x = tape.watch(Matrix(mesh(), {4, 3}));
  auto const loss = sum(Differentiable<FailsBackwards>{}(x));
  CHECK_THROWS_AS(tape.backward(loss), NonFiniteError);
  expect_refusal<StateError>("gradient after a failed pass", [&] { (void)tape.gradient(x); }, "has failed");
}

TEST_CASE_FIXTURE(OneMesh, "a parameter whose gradient so far is of other extents is refused before the pass") {
  Parameter<Matrix> parameter{Matrix(mesh(), {4, 3}), {}};
  {
    Tape tape;
    tape.backward(sum(tape.watch(parameter)));
  }
  parameter.value = Matrix(mesh(), {5, 3});
  Tape tape;
  expect_refusal<ExtentError>("watch", [&] { (void)tape.watch(parameter); }, "its gradient");
}

TEST_CASE_FIXTURE(OneMesh, "input data has no node for a gradient") {
  Tape tape;
  Matrix const x(mesh(), {4, 3});
  auto const input = tape.input(x);
  expect_refusal<StateError>("accumulate", [&] { tape.accumulate<Matrix>(input.node(), x); }, "no node -1");
  expect_refusal<StateError>("accumulate past the end", [&] { tape.accumulate<Matrix>(7, x); }, "no node 7");
}
