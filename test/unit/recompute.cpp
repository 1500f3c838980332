// SPDX-License-Identifier: Apache-2.0
// Blocks that run again in the backward pass: the same numbers, for less memory and one more forward pass.
#include <array>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include <gshard/autodiff.hpp>
#include <gshard/einsum.hpp>
#include <gshard/nn/dropout.hpp>
#include <gshard/nn/feed_forward.hpp>
#include <gshard/nn/rms_norm.hpp>
#include <gshard/reduce.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class Space>
using Tokens = ShardedTensor<Grid, Spec<"data,expert", _, _>, double, Space>;
using Host = Kokkos::HostSpace;

/// x + dropout(feed_forward(norm(x))).
template <class Space>
struct Block {
  nn::RmsNorm<Grid, nn::Parallelism, double, Space> norm;
  nn::FeedForward<Grid, nn::Parallelism, double, Space> inner;

  template <class X>
  auto operator()(X const& x, nn::RandomStream random) {
    return eval(x + nn::dropout(inner(norm(x)), .25, random));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    norm.for_each_parameter(visit);
    inner.for_each_parameter(visit);
  }
};

/// Blocks one after the other, each run again in the backward pass or not.
template <class Space>
struct Stack {
  std::vector<Block<Space>> blocks;

  Stack(Grid const& grid, int count, std::int64_t model, std::int64_t hidden) {
    nn::Initializer initializer(3);
    for (int i = 0; i < count; ++i) {
      nn::RmsNorm<Grid, nn::Parallelism, double, Space> const norm(grid, initializer, model);
      blocks.push_back({norm, {grid, initializer, model, hidden}});
    }
  }

  template <class X>
  auto operator()(X x, bool again) {
    nn::RandomStream random{1, 0};
    for (auto& block : blocks) {
      auto const run = [&block, random](auto const& in) { return block(in, random); };
      if (again) x = recompute(run, x);
      else x = run(x);
      ++random.stream;
    }
    return x;
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    for (auto& block : blocks) block.for_each_parameter(visit);
  }
};

/// The loss, the gradient of x and those of the parameters, which are forgotten.
template <class Layer, class Run, class Tensor>
std::vector<Values> step(Layer& layer, Run const& run, Tensor const& input) {
  std::vector<Values> result;
  Tape tape;
  auto const x = tape.watch(input);
  auto const loss = run(x);
  result.push_back(local_values(loss.value()));
  tape.backward(loss);
  result.push_back(local_values(tape.gradient(x)));
  layer.for_each_parameter([&](auto& parameter) {
    REQUIRE(parameter.has_gradient());
    result.push_back(local_values(parameter.gradient));
    parameter.clear_gradient();
  });
  return result;
}

}  // namespace

TEST_CASE(
    "a block that runs again leaves the same gradients, bit for bit: of its input and its parameters, dropout included") {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t groups : {1, 3, 8}) {
      Stack<Host> stack(grid, 3, 4, 6);
      auto const x = filled<Tokens<Host>>(grid, {groups, 2, 4}, 1, smooth);
      auto const kept = step(stack, [&](auto const& in) { return weighted_sum(stack(in, false)); }, x);
      auto const again = step(stack, [&](auto const& in) { return weighted_sum(stack(in, true)); }, x);
      CHECK(kept == again);
      CHECK(local_values(stack(x, true)) == local_values(stack(x, false)));
    }
  });
}

TEST_CASE("recompute of several inputs and results; of results that the loss does not depend on; one within another") {
  on_every_grid([](Grid const& grid) {
    using X = ShardedTensor<Grid, Spec<"data", _>, double>;
    nn::Initializer initializer(1);
    auto weight = initializer.normal<ShardedTensor<Grid, Spec<_, _>, double>>(grid, {3, 3}, 1, "w");
    auto const constant = filled<X>(grid, {5, 3}, 3, smooth);
    auto const function = [&weight](auto const& x, auto const& y, auto const& z) {
      auto const product = eval(einsum<"ab,bc->ac">(x, bind(weight, x)));
      return std::tuple(eval(product * y + z), eval(einsum<"ab->a">(square(product))), z);
    };
    auto const inner = [function](auto const& x, auto const& y, auto const& z) { return recompute(function, x, y, z); };
    auto const gradients = [&](auto const& run, int uses) {
      Tape tape;
      auto const x = tape.watch(filled<X>(grid, {5, 3}, 1, smooth));
      auto const y = tape.watch(filled<X>(grid, {5, 3}, 2, smooth));
      auto const [first, second, third] = run(x, y, constant);
      static_assert(AnyVar<decltype(first)> && AnyVar<decltype(second)> && AnyTensor<decltype(third)>);
      auto const loss = uses == 0   ? sum(first)
                        : uses == 1 ? sum(square(second))
                                    : eval(sum(first) + sum(square(second)));
      tape.backward(loss);
      std::array const result{local_values(loss.value()), local_values(tape.gradient(x)),
                              local_values(tape.gradient(y)), local_values(weight.gradient)};
      weight.clear_gradient();
      return result;
    };
    for (int uses : {0, 1, 2}) {
      auto const kept = gradients(function, uses);
      CHECK(kept == gradients([&](auto const&... in) { return recompute(function, in...); }, uses));
      CHECK(kept == gradients([&](auto const&... in) { return recompute(inner, in...); }, uses));
    }
  });
}

TEST_CASE("inputs that have not run are evaluated before the block, once") {
  on_every_grid([](Grid const& grid) {
    using X = ShardedTensor<Grid, Spec<"data", _>, double>;
    auto const weight = filled<ShardedTensor<Grid, Spec<_, _>, double>>(grid, {3, 3}, 4, smooth);
    auto const added = filled<X>(grid, {5, 3}, 3, smooth);
    auto const block = [](auto const& x, auto const& y) {
      static_assert(TensorOrVar<std::remove_cvref_t<decltype(x)>> && TensorOrVar<std::remove_cvref_t<decltype(y)>>);
      return tanh(x) * y;
    };
    auto const gradients = [&](auto const& run) {
      Tape tape;
      auto const x = tape.watch(filled<X>(grid, {5, 3}, 1, smooth));
      auto const w = tape.watch(weight);
      auto const loss = weighted_sum(run(x, w));
      tape.backward(loss);
      return std::array{local_values(loss.value()), local_values(tape.gradient(x)), local_values(tape.gradient(w))};
    };
    auto const kept = gradients(
        [&](auto const& x, auto const& w) { return eval(block(eval(einsum<"ab,bc->ac">(x, w)), eval(added + 1.0))); });
    CHECK(kept == gradients([&](auto const& x, auto const& w) {
            return recompute(block, einsum<"ab,bc->ac">(x, w), added + 1.0);
          }));
    auto const plain = filled<X>(grid, {5, 3}, 1, smooth);
    CHECK(local_values(eval(recompute(block, einsum<"ab,bc->ac">(plain, weight), added))) ==
          local_values(eval(block(eval(einsum<"ab,bc->ac">(plain, weight)), added))));
  });
}

TEST_CASE("a tape that has run, and inputs of two tapes, are refused before the block runs") {
  Grid const grid(runtime(), {1, ranks()});
  auto const value = filled<Tokens<Host>>(grid, {2, 2, 4}, 1, smooth);
  int calls = 0;
  auto const block = [&calls](auto const& x, auto const& y) {
    ++calls;
    return eval(x + y);
  };
  Tape run, one, other;
  auto const finished = run.watch(value);
  run.backward(weighted_sum(finished));
  CHECK_THROWS_AS(recompute(block, finished, value), StateError);
  CHECK_THROWS_AS(recompute(block, one.watch(value), other.watch(value)), StateError);
  CHECK(calls == 0);
  recompute(block, one.watch(value), value);
  CHECK(calls == 1);
}

TEST_CASE("the peak of memory: the inputs of all blocks and what one block keeps, not what all keep") {
  on_every_grid([](Grid const& grid) {
    // Per block: x (kept), the normed x and the result are 8 wide; hidden units 64 wide, twice: the block's inside is
    // far larger than its input.
    Stack<Host> stack(grid, 6, 8, 64);
    auto const x = filled<Tokens<Host>>(grid, {std::int64_t{ranks()}, 128, 8}, 1, smooth);
    Ledger& ledger = grid.memory().ledger();
    auto const peak = [&](bool again) {
      step(stack, [&](auto const& in) { return weighted_sum(stack(in, again)); }, x);
      auto const before = ledger.bytes_in_use();
      ledger.clear();
      step(stack, [&](auto const& in) { return weighted_sum(stack(in, again)); }, x);
      CHECK(ledger.bytes_in_use() == before);
      return ledger.peak_bytes() - before;
    };
    auto const row = std::int64_t{128} * sizeof(double);
    auto const kept = peak(false);
    auto const again = peak(true);
    INFO("kept ", kept, ", again ", again);
    CHECK(kept > 6 * 64 * row);
    CHECK(again < 6 * 8 * row + 4 * 64 * row);
  });
}

TEST_CASE("the ledger of an abstract machine: a second forward pass of the blocks, and nothing else") {
  AbstractRuntime machine;
  Grid const grid(machine, {4, 2});
  Stack<AbstractSpace> stack(grid, 6, 64, 256);
  Tokens<AbstractSpace> const x(grid, {16, 512, 64});
  Ledger& ledger = machine.ledger();
  struct Cost {
    std::int64_t flops, peak, reductions;
  };
  auto const cost = [&](auto const& action) {
    ledger.clear();
    action();
    return Cost{ledger.flops(), ledger.peak_bytes(), ledger.calls(Collective::all_reduce)};
  };
  auto const train = [&](bool again) {
    return cost([&] {
      Tape tape;
      tape.backward(mean(stack(tape.watch(x), again)));
      stack.for_each_parameter([](auto& parameter) { parameter.clear_gradient(); });
    });
  };
  Cost const forward = cost([&] { stack(x, false); });
  Cost const kept = train(false), again = train(true);
  CHECK(forward.flops == std::int64_t{6} * 2 * 2 * (2 * 512 * 64 * 256));
  CHECK(kept.flops == 3 * forward.flops);
  CHECK(again.flops == 4 * forward.flops);
  CHECK(again.reductions == kept.reductions);
  CHECK(2 * again.peak < kept.peak);
}
