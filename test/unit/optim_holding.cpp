// SPDX-License-Identifier: Apache-2.0
// What optimizers share: one shape, state in smaller pieces than the parameter, float copies of BFloat16 parameters;
// and SGD.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gshard/core/bfloat16.hpp>
#include <gshard/optim.hpp>
#include <gshard/reshard/gather.hpp>
#include <gshard/tensor/from_vector.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;
using optim::MasterWeights;
using optim::SplitOver;

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

static_assert(optim::Optimizer<optim::AdamW<>> && optim::Optimizer<optim::Adafactor<SplitOver<"data">>> &&
              optim::Optimizer<optim::Sgd<MasterWeights>>);
static_assert(!optim::Optimizer<optim::LinearDecay>);

/// A parameter whose gradient arrives as an unreduced sum.
template <AnyTensor Tensor, AnyTensor Gradient>
struct Unreduced {
  Tensor value;
  Gradient gradient;

  bool has_gradient() const { return gradient.is_set(); }
  void clear_gradient() { gradient = {}; }
};

/// Parameters held in every way, and how to give them gradients.
template <class T>
struct Parameters {
  template <AxisNames... Entries>
  using Tensor = ShardedTensor<Grid, Spec<Entries...>, T>;

  Parameter<Tensor<_, _>> replicated;
  Parameter<Tensor<"expert", _, _>> by_expert;
  Parameter<Tensor<"expert", "data">> by_both;
  Parameter<Tensor<_, "expert">> columns;
  Parameter<Tensor<_>> vector;
  Parameter<Tensor<>> scalar;
  Unreduced<Tensor<_, _>, Tensor<_, _, partial("data")>> unreduced;

  explicit Parameters(Grid const& grid)
      : replicated{start<Tensor<_, _>>(grid, {5, 3}, 1), {}},
        by_expert{start<Tensor<"expert", _, _>>(grid, {3, 4, 5}, 2), {}},
        by_both{start<Tensor<"expert", "data">>(grid, {4, 5}, 3), {}},
        columns{start<Tensor<_, "expert">>(grid, {3, 4}, 4), {}},
        vector{start<Tensor<_>>(grid, {7}, 5), {}},
        scalar{start<Tensor<>>(grid, {}, 6), {}},
        unreduced{start<Tensor<_, _>>(grid, {4, 3}, 7), {}} {}

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(replicated);
    visit(by_expert);
    visit(by_both);
    visit(columns);
    visit(vector);
    visit(scalar);
    visit(unreduced);
  }

  void set_gradients(std::int64_t step) {
    std::int64_t seed = 100 * step;
    for_each_parameter([&](auto& parameter) {
      using Gradient = std::remove_cvref_t<decltype(parameter.gradient)>;
      parameter.gradient = start<Gradient>(parameter.value.mesh(), parameter.value.extents(), seed += 10);
    });
  }

 private:
  template <class Of>
  static Of start(Grid const& grid, Extents const& extents, std::int64_t seed) {
    return filled<Of>(grid, extents, seed, smooth);
  }
};

/// Three steps of both optimizers, which have to agree.
template <class One, class Other, class Options>
void check_same_steps(Grid const& grid, Options const& options) {
  Parameters<double> first(grid), second(grid);
  One one(options);
  Other other(options);
  for (int step = 1; step <= 3; ++step) {
    first.set_gradients(step);
    second.set_gradients(step);
    CHECK(one.step(first, .1) == doctest::Approx(other.step(second, .1)).epsilon(1e-14));
    std::vector<Values> right;
    first.for_each_parameter([&](auto const& parameter) { right.push_back(collected(parameter.value)); });
    std::size_t number = 0;
    second.for_each_parameter([&](auto const& parameter) {
      INFO("step ", step, ", parameter ", number);
      CHECK(difference(parameter.value, right[number++], 1e-13) == "");
      CHECK(!parameter.has_gradient());
    });
  }
}

/// A model of one parameter of any type.
template <class Type>
struct Only {
  Type parameter;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(parameter);
  }
};

template <AnyTensor Tensor>
using Single = Only<Parameter<Tensor>>;

struct Three {
  Parameter<On<_>> replicated;
  Parameter<On<"expert">> by_expert, another;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(replicated);
    visit(by_expert);
    visit(another);
  }
};

}  // namespace

TEST_CASE("state in smaller pieces gives the same steps") {
  on_every_grid([](Grid const& grid) {
    for (double const max_norm : {0.0, .5}) {
      optim::AdamWOptions const adamw{.weight_decay = .1, .max_norm = max_norm};
      optim::AdafactorOptions const adafactor{.smallest_factored = 3, .max_norm = max_norm};
      optim::SgdOptions const sgd{.momentum = .9, .max_norm = max_norm};
      check_same_steps<optim::AdamW<>, optim::AdamW<SplitOver<"data">>>(grid, adamw);
      check_same_steps<optim::AdamW<>, optim::AdamW<SplitOver<"expert,data">>>(grid, adamw);
      check_same_steps<optim::Adafactor<>, optim::Adafactor<SplitOver<"data">>>(grid, adafactor);
      check_same_steps<optim::Adafactor<>, optim::Adafactor<SplitOver<"data">, SplitOver<"expert">>>(grid, adafactor);
      check_same_steps<optim::Sgd<>, optim::Sgd<SplitOver<"data">>>(grid, sgd);
    }
  });
}

TEST_CASE("state in smaller pieces: its memory, the messages of a step, and no allocation in the second") {
  using Tensor = On<_, "expert">;
  on_every_grid([](Grid const& grid) {
    Single<Tensor> model{{filled<Tensor>(grid, {24, 16}, 1, smooth), {}}};
    optim::AdamW<SplitOver<"data">> optimizer;
    Ledger& ledger = grid.memory().ledger();
    std::int64_t const data = grid.size<"data">(), before = ledger.bytes_in_use();
    auto const step = [&] {
      model.parameter.gradient = filled<Tensor>(grid, {24, 16}, 2, smooth);
      optimizer.step(model, .1);
    };
    ledger.open();
    ledger.clear();
    step();
    ledger.close();
    // Two moments of this rank's piece of rows, and nothing else.
    std::int64_t const columns = model.parameter.value.local_extent(1);
    std::int64_t const rows = On<"data">(grid, {24}).local_size();
    CHECK(ledger.bytes_in_use() - before == 2 * 8 * rows * columns);
    CHECK(ledger.calls(Collective::all_gather) == (data > 1 ? 1 : 0));
    CHECK(ledger.bytes_sent() == (columns == 0 ? 0 : ledger.bytes_sent(Collective::all_gather)));
    std::int64_t const allocations = grid.memory().allocations<Tensor::memory_space>();
    step();
    step();
    CHECK(grid.memory().allocations<Tensor::memory_space>() == allocations);
  });
}

TEST_CASE("an unreduced gradient meets split state by a reduce-scatter, and whole state by an all-reduce") {
  using Tensor = On<_, _>;
  using Gradient = On<_, _, partial("data")>;
  on_every_grid([](Grid const& grid) {
    std::int64_t const sent = grid.size<"data">() > 1 ? 1 : 0;
    auto const counts_of = [&](auto optimizer) {
      Only<Unreduced<Tensor, Gradient>> model{{Tensor(grid, {8, 3}), filled<Gradient>(grid, {8, 3}, 2, smooth)}};
      Ledger& ledger = grid.memory().ledger();
      ledger.open();
      ledger.clear();
      optimizer.step(model, .1);
      ledger.close();
      return std::array{ledger.calls(Collective::reduce_scatter), ledger.calls(Collective::all_gather),
                        ledger.calls(Collective::all_reduce)};
    };
    CHECK(counts_of(optim::Sgd<SplitOver<"data">>()) == std::array<std::int64_t, 3>{sent, sent, 0});
    CHECK(counts_of(optim::Sgd<>()) == std::array<std::int64_t, 3>{0, 0, sent});
    // the norm is of a whole tensor then
    CHECK(counts_of(optim::Sgd<>({.max_norm = 1})) == std::array<std::int64_t, 3>{0, 0, sent});
    CHECK(counts_of(optim::Sgd<SplitOver<"data">>({.max_norm = 1})) == std::array<std::int64_t, 3>{sent, sent, sent});
  });
}

TEST_CASE("D4: the norm of an unreduced gradient is that of its sum") {
  using Gradient = On<_, partial("data")>;
  on_every_grid([](Grid const& grid) {
    Only<Unreduced<On<_>, Gradient>> model{{On<_>(grid, {2}), Gradient(grid, {2})}};
    Kokkos::deep_copy(model.parameter.gradient.local(), 1);
    CHECK(optim::gradient_norm(model) == doctest::Approx(grid.size<"data">() * std::sqrt(2.0)).epsilon(1e-15));
    CHECK(model.parameter.has_gradient());
  });
}

TEST_CASE("the common norm is one all-reduce of one number over the axes that split any parameter") {
  on_every_grid([](Grid const& grid) {
    Three model{{On<_>(grid, {3}), On<_>(grid, {3})},
                {On<"expert">(grid, {5}), On<"expert">(grid, {5})},
                {On<"expert">(grid, {2}), On<"expert">(grid, {2})}};
    Ledger& ledger = grid.memory().ledger();
    ledger.open();
    ledger.clear();
    optim::gradient_norm(model);
    ledger.close();
    std::int64_t const experts = grid.size<"expert">();
    CHECK(ledger.bytes_sent() == 2 * (experts - 1) * 8 / experts);
    CHECK(ledger.calls(Collective::all_reduce) == (experts > 1 ? 1 : 0));
  });
}

// ---- Float copies of BFloat16 parameters ----

namespace {

/// A parameter of ones after `count` steps of SGD of 2^-12 each, a sixteenth of a step of a BFloat16 below 1.
template <class Optimizer, AxisNames... Entries>
Values after_small_steps(Grid const& grid, int count) {
  using Tensor = ShardedTensor<Grid, Spec<Entries...>, BFloat16>;
  Single<Tensor> model{{from_vector<Tensor>(grid, {3, 5}, std::vector<BFloat16>(15, BFloat16(1.f))), {}}};
  Optimizer optimizer;
  for (int step = 0; step < count; ++step) {
    model.parameter.gradient = from_vector<ParameterGradient<Tensor>>(grid, {3, 5}, std::vector<float>(15, 1));
    optimizer.step(model, 1 / 4096.0);
  }
  Values result;
  for (BFloat16 value : to_vector(model.parameter.value)) result.push_back(static_cast<double>(value));
  return result;
}

}  // namespace

TEST_CASE("updates smaller than a step of a BFloat16 are lost without a float copy, and not with one") {
  on_every_grid([](Grid const& grid) {
    CHECK(after_small_steps<optim::Sgd<>, _, "expert">(grid, 64) == Values(15, 1));
    CHECK(after_small_steps<optim::Sgd<MasterWeights>, _, "expert">(grid, 64) == Values(15, 1 - 64 / 4096.0));
    CHECK(after_small_steps<optim::Sgd<MasterWeights, SplitOver<"data">>, _, "expert">(grid, 64) ==
          Values(15, 1 - 64 / 4096.0));
    // the copy knows, the parameter cannot
    CHECK(after_small_steps<optim::Sgd<MasterWeights>, _, "expert">(grid, 1) == Values(15, 1));
  });
}

TEST_CASE("BFloat16 parameters with a float copy follow float ones, rounded") {
  on_every_grid([](Grid const& grid) {
    auto const run = [&]<class T>(std::type_identity<T>, auto optimizer) {
      using Tensor = ShardedTensor<Grid, Spec<"expert", _>, T>;
      Single<Tensor> model{{filled<Tensor>(grid, {4, 6}, 0, small_integer), {}}};
      for (int step = 1; step <= 5; ++step) {
        model.parameter.gradient = filled<ParameterGradient<Tensor>>(grid, {4, 6}, step, small_integer);
        optimizer.step(model, .01);
      }
      std::vector<float> result;
      for (T value : to_vector(model.parameter.value))
        result.push_back(static_cast<float>(BFloat16(static_cast<float>(value))));
      return result;
    };
    std::type_identity<float> const exact;
    std::type_identity<BFloat16> const rounded;
    CHECK(run(rounded, optim::AdamW<MasterWeights>()) == run(exact, optim::AdamW<>()));
    CHECK(run(rounded, optim::AdamW<MasterWeights, SplitOver<"data">>()) == run(exact, optim::AdamW<MasterWeights>()));
    CHECK(run(rounded, optim::AdamW<>()) != run(exact, optim::AdamW<>()));
    CHECK(run(rounded, optim::Adafactor<MasterWeights>({.smallest_factored = 2})) ==
          run(exact, optim::Adafactor<>({.smallest_factored = 2})));
  });
}

// ---- SGD ----

TEST_CASE("SGD: plain, with momentum and with Nesterov's, three steps of one number by hand") {
  struct Row {
    optim::SgdOptions options;
    double after[3];
  };
  // Gradients 1, 2, 4 and rate .1 from 1. Momentum .5: velocities 1, 2.5, 5.25; Nesterov's steps 1.5, 3.25, 6.625.
  Row const table[] = {
      {{}, {.9, .7, .3}},
      {{.momentum = .5}, {.9, .65, .125}},
      {{.momentum = .5, .nesterov = true}, {.85, .525, -.1375}},
      {{.weight_decay = .5}, {.85, .6075, .177125}},
      {{.max_norm = 1}, {.9, .8, .7}},
  };
  on_every_grid([&](Grid const& grid) {
    for (Row const& row : table) {
      Single<On<"expert,data">> model{{from_vector<On<"expert,data">>(grid, {1}, Values{1}), {}}};
      optim::Sgd<> optimizer(row.options);
      for (int step = 0; step < 3; ++step) {
        model.parameter.gradient = from_vector<On<"expert,data">>(grid, {1}, Values{std::pow(2.0, step)});
        CHECK(optimizer.step(model, .1) == (row.options.max_norm > 0 ? std::pow(2.0, step) : 0));
        CHECK(difference(model.parameter.value, {row.after[step]}, 1e-14) == "");
      }
    }
  });
}

TEST_CASE("SGD without momentum holds nothing") {
  Grid const grid(runtime(), {1, ranks()});
  Single<On<"expert">> model{{On<"expert">(grid, {12}), {}}};
  std::int64_t const before = grid.memory().ledger().bytes_in_use();
  model.parameter.gradient = On<"expert">(grid, {12});
  optim::Sgd<> optimizer;
  optimizer.step(model, .1);
  CHECK(grid.memory().ledger().bytes_in_use() == before);
}

// ---- What has no gradient, or no elements ----

TEST_CASE("a parameter without a gradient stays as it is, however its state is held") {
  on_every_grid([](Grid const& grid) {
    auto const check = [&](auto optimizer) {
      using Tensor = ShardedTensor<Grid, Spec<_, "expert">, BFloat16>;
      Single<Tensor> model{{filled<Tensor>(grid, {4, 3}, 1, small_integer), {}}};
      auto const bits = [&] {
        std::vector<float> result;
        for (BFloat16 value : to_vector(model.parameter.value)) result.push_back(value);
        return result;
      };
      auto const before = bits();
      CHECK(optimizer.step(model, .5) == 0);
      CHECK(bits() == before);
      // nor does a gradient of 0 move it
      model.parameter.gradient = ParameterGradient<Tensor>(grid, {4, 3});
      CHECK(optimizer.step(model, .5) == 0);
      CHECK(bits() == before);
      CHECK(optimizer.steps() == 2);
    };
    check(optim::AdamW<MasterWeights, SplitOver<"data">>({.epsilon = 0, .max_norm = 1}));
    check(optim::Adafactor<MasterWeights, SplitOver<"data">>({.epsilon = 0, .smallest_factored = 2, .max_norm = 1}));
    check(optim::Sgd<MasterWeights, SplitOver<"data">>({.momentum = .9, .max_norm = 1}));
  });
}

TEST_CASE("a copy in float is made of what the parameter is at the first step that is taken") {
  using Tensor = ShardedTensor<Grid, Spec<"expert">, BFloat16>;
  on_every_grid([](Grid const& grid) {
    auto const numbers = [&](float value) {
      return from_vector<Tensor>(grid, {3}, std::vector<BFloat16>(3, BFloat16(value)));
    };
    auto const gradient = [&](float value) {
      return from_vector<ParameterGradient<Tensor>>(grid, {3}, std::vector<float>(3, value));
    };
    optim::Sgd<MasterWeights> optimizer({.max_norm = 1});
    Single<Tensor> model{{numbers(1), gradient(std::numeric_limits<float>::infinity())}};
    CHECK_THROWS_AS(optimizer.step(model, .5), NonFiniteError);
    model.parameter.value = numbers(7);
    model.parameter.gradient = gradient(0);
    optimizer.step(model, .5);
    CHECK(static_cast<float>(to_vector(model.parameter.value)[0]) == 7);
  });
}

// ---- Mistakes ----

TEST_CASE("a gradient of other extents, and another model, are refused") {
  Grid const grid(runtime(), {1, ranks()});
  Single<On<"expert">> model{{On<"expert">(grid, {12}, "w"), On<"expert">(grid, {11})}};
  optim::AdamW<> optimizer;
  CHECK_THROWS_WITH_AS(optimizer.step(model, .1),
                       doctest::Contains("optimizer: parameter 0 'w' (12) and the gradient of parameter 0 (11) have to "
                                         "have equal extents"),
                       ExtentError);
  model.parameter.clear_gradient();
  optimizer.step(model, .1);
  Single<On<_>> other{{On<_>(grid, {12}, "v"), {}}};
  CHECK_THROWS_WITH_AS(optimizer.step(other, .1),
                       doctest::Contains("parameter 0 'v' (12) is not the one of the first step"), StateError);
}
