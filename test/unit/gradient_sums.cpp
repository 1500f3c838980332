// SPDX-License-Identifier: Apache-2.0
// Gradients that add up: over uses of a tensor on one tape, over backward passes, over micro-batches. BFloat16 has 8
// significant bits, so a sum that is rounded after each term stops at 256 + 1 = 256; 300 is a BFloat16.
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/reduce.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

using Weights = ShardedTensor<Grid, Spec<_>, BFloat16>;
using Rows = ShardedTensor<Grid, Spec<"data,expert", _>, BFloat16>;

constexpr int times = 300;
Values const hundreds(3, times);

template <AnyTensor Tensor>
Tensor ones(Grid const& grid, Extents const& extents) {
  Tensor result(grid, extents);
  fill(result, [](auto const&) { return 1.0; });
  return result;
}

/// The sum of x w over the rows of x, of which there is one: the gradient of w is 1.
template <class W>
auto loss_of(Grid const& grid, W const& w) {
  return sum(eval(einsum<"bm,m->bm">(ones<Rows>(grid, {1, 3}), w)));
}

}  // namespace

TEST_CASE("a gradient of 1 in each of 300 micro-batches is 300 in BFloat16, accumulated or pass by pass") {
  on_every_grid([](Grid const& grid) {
    Parameter<Weights> weights{ones<Weights>(grid, {3}), {}};
    for (bool accumulated : {true, false}) {
      INFO("accumulated: ", accumulated);
      Accumulation sums;
      for (int i = 0; i < times; ++i) {
        if (accumulated) {
          Tape tape(sums);
          tape.backward(loss_of(grid, tape.watch(weights)));
        } else {
          Tape tape;
          tape.backward(loss_of(grid, tape.watch(weights)));
        }
      }
      sums.reduce();
      CHECK(difference(weights.gradient, hundreds) == "");
      weights.clear_gradient();
    }
  });
}

TEST_CASE("a BFloat16 tensor used 300 times on one tape has the gradient 300: a leaf, a result, a parameter") {
  on_every_grid([](Grid const& grid) {
    Parameter<Weights> weights{ones<Weights>(grid, {3}), {}};
    Tape tape;
    auto const leaf = tape.watch(ones<Weights>(grid, {3}));
    auto const result = eval(leaf * 1.0);
    auto const parameter = tape.watch(weights);
    auto loss = eval(sum(leaf) * 0.0);
    for (int i = 0; i < times; ++i) {
      loss = eval(loss + loss_of(grid, result));
      loss = eval(loss + loss_of(grid, parameter));
    }
    tape.backward(loss);
    CHECK(difference(tape.gradient(leaf), hundreds) == "");
    CHECK(difference(weights.gradient, hundreds) == "");
  });
}

TEST_CASE("a BFloat16 parameter bound 300 times has the gradient 300") {
  on_every_grid([](Grid const& grid) {
    Parameter<Weights> weights{ones<Weights>(grid, {3}), {}};
    Tape tape;
    auto loss = eval(sum(tape.watch(weights)) * 0.0);
    for (int i = 0; i < times; ++i) loss = eval(loss + loss_of(grid, bind(weights, loss)));
    tape.backward(loss);
    CHECK(difference(weights.gradient, hundreds) == "");
  });
}

TEST_CASE("the gradients of the terms of a sum stay apart over several passes") {
  // Both terms receive one tensor as their gradient; adding the next pass to one must not change the other.
  using Doubles = ShardedTensor<Grid, Spec<_>, double>;
  on_every_grid([](Grid const& grid) {
    Parameter<Doubles> left{ones<Doubles>(grid, {3}), {}};
    Parameter<Doubles> right{ones<Doubles>(grid, {3}), {}};
    for (int pass = 0; pass < 3; ++pass) {
      Tape tape;
      tape.backward(sum(eval(tape.watch(left) + tape.watch(right))));
    }
    CHECK(difference(left.gradient, {3, 3, 3}) == "");
    CHECK(difference(right.gradient, {3, 3, 3}) == "");
  });
}
