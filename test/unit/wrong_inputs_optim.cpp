// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of optim/ and cost/: models that are none, gradients that are not finite, options out of range. Each is
// refused by one exception on all ranks, and changes nothing.
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include <gshard/cost.hpp>
#include <gshard/optim.hpp>
#include <gshard/reshard/gather.hpp>

#include "layer_test.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Row = ShardedTensor<Grid, Spec<"expert">>;
using Matrix = ShardedTensor<Grid, Spec<"data", "expert">>;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Model {
  Parameter<Row> row;
  Parameter<Matrix> matrix;
  std::vector<int> order = {0, 1};  ///< in which they are visited

  explicit Model(Grid const& grid) : Model(grid, grid) {}
  Model(Grid const& one, Grid const& other)
      : row{filled<Row>(one, {5}, 1, smooth), filled<Row>(one, {5}, 2, smooth)},
        matrix{filled<Matrix>(other, {4, 6}, 3, smooth), filled<Matrix>(other, {4, 6}, 4, smooth)} {
    row.value = named(row.value, "row");
    matrix.value = named(matrix.value, "matrix");
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    for (int which : order)
      if (which == 0) visit(row);
      else visit(matrix);
  }

  std::vector<std::vector<float>> values() const { return {to_vector(row.value), to_vector(matrix.value)}; }

  void set_gradients(std::int64_t seed) {
    row.gradient = filled<Row>(row.value.mesh(), {5}, seed, smooth);
    matrix.gradient = filled<Matrix>(matrix.value.mesh(), {4, 6}, seed + 1, smooth);
  }

 private:
  template <AnyTensor Tensor>
  static Tensor named(Tensor const& tensor, std::string_view name) {
    Tensor result(uninitialized, tensor.mesh(), tensor.extents(), name);
    assign(result, tensor);
    return result;
  }
};

/// `check` with each optimizer, its name, and options that clip at `max_norm`.
template <class Check>
void with_every_optimizer(double max_norm, Check const& check) {
  using optim::MasterWeights;
  using optim::SplitOver;
  check("AdamW", optim::AdamW<>({.max_norm = max_norm}));
  check("AdamW, split state", optim::AdamW<SplitOver<"data">, MasterWeights>({.max_norm = max_norm}));
  check("Adafactor", optim::Adafactor<>({.smallest_factored = 2, .max_norm = max_norm}));
  check("Sgd", optim::Sgd<>({.momentum = .9, .max_norm = max_norm}));
}

/// Sets the element of this global index.
void set_element(Matrix const& matrix, std::int64_t row, std::int64_t column, double value) {
  Range const rows = matrix.range(0), columns = matrix.range(1);
  if (row >= rows.begin && row < rows.end && column >= columns.begin && column < columns.end)
    matrix.local()(row - rows.begin, column - columns.begin) = static_cast<float>(value);
}

TEST_CASE("models that no step can be taken with: the step is refused, and nothing is changed") {
  struct Mistake {
    std::string name, kind;
    std::function<void(Model&, Grid const&)> make;
    std::vector<std::string_view> words;
  };
  std::vector<Mistake> const mistakes = {
      {"unset parameter",
       "StateError",
       [](Model& model, Grid const&) { model.matrix.value = {}; },
       {"parameter 1 (unset) is no tensor"}},
      {"parameters on two meshes",
       "MeshError",
       [](Model& model, Grid const& other) { model.matrix = Model(other).matrix; },
       {"parameter 0 'row' (5) lives on mesh", "parameter 1 'matrix' (4, 6) on another one"}},
      {"gradient on another mesh",
       "MeshError",
       [](Model& model, Grid const& other) { model.matrix.gradient = Matrix(other, {4, 6}); },
       {"parameter 1 'matrix' (4, 6) lives on mesh", "the gradient of parameter 1 (4, 6) on another one"}},
      {"gradient of other extents",
       "ExtentError",
       [](Model& model, Grid const&) { model.matrix.gradient = Matrix(model.row.value.mesh(), {4, 5}); },
       {"parameter 1 'matrix' (4, 6) and the gradient of parameter 1 (4, 5) have to have equal extents"}},
  };
  on_every_grid([&](Grid const& grid) {
    Grid const other(runtime(), {1, ranks()});
    for (Mistake const& mistake : mistakes) {
      with_every_optimizer(1, [&](std::string const& name, auto optimizer) {
        Model model(grid);
        auto const before = model.row;
        auto const values = to_vector(before.value);
        mistake.make(model, other);
        check_refusal(name + ": " + mistake.name, mistake.kind, [&] { optimizer.step(model, .1); }, mistake.words);
        CHECK(optimizer.steps() == 0);
        CHECK(to_vector(model.row.value) == values);
        CHECK(model.row.has_gradient());
        // and is still ready for the right model
        Model right(grid);
        optimizer.step(right, .1);
        CHECK(to_vector(right.row.value) != values);
      });
      Model model(grid);
      mistake.make(model, other);
      check_refusal(
          "gradient_norm: " + mistake.name, mistake.kind, [&] { optim::gradient_norm(model); }, mistake.words);
    }
  });
}

TEST_CASE("another model than at the first step is refused") {
  on_every_grid([](Grid const& grid) {
    Grid const other(runtime(), {1, ranks()});
    with_every_optimizer(0, [&](std::string const& name, auto optimizer) {
      Model first(grid), model(grid), elsewhere(other);
      optimizer.step(first, .1);
      Model fewer(grid), more(grid), exchanged(grid);
      fewer.order = {0};
      more.order = {0, 1, 0};
      exchanged.order = {1, 0};
      expect_refusal<StateError>(
          name + ": fewer parameters", [&] { optimizer.step(fewer, .1); }, "a model of 1 parameters after one of 2");
      expect_refusal<StateError>(
          name + ": more parameters", [&] { optimizer.step(more, .1); },
          "parameter 2 'row' (5) is not the one of the first step");
      expect_refusal<StateError>(
          name + ": other order", [&] { optimizer.step(exchanged, .1); },
          "parameter 0 'matrix' (4, 6) is not the one of the first step");
      expect_refusal<StateError>(
          name + ": other mesh", [&] { optimizer.step(elsewhere, .1); },
          "parameter 0 'row' (5) is not the one of the first step");
      model.row = {Row(grid, {7}, "row"), Row(grid, {7})};
      expect_refusal<StateError>(
          name + ": other extents", [&] { optimizer.step(model, .1); },
          "parameter 0 'row' (7) is not the one of the first step");
      CHECK(optimizer.steps() == 1);
    });
  });
}

TEST_CASE("a gradient that is not finite, where gradients are clipped: refused before anything is changed") {
  on_every_grid([](Grid const& grid) {
    for (double const max_norm : {1.0, infinity})
      for (double const value : {nan, infinity, -infinity})
        for (int const refused_step : {1, 2})
          with_every_optimizer(max_norm, [&](std::string const& name, auto optimizer) {
            // the same steps without the one that is refused
            Model right(grid), model(grid);
            auto undisturbed = optimizer;
            for (int step = 1; step <= 3; ++step) {
              if (step == refused_step) {
                auto const values = model.values();
                model.set_gradients(9);
                set_element(model.matrix.gradient, 3, 5, value);
                expect_refusal<NonFiniteError>(
                    name + ": gradient not finite", [&] { optimizer.step(model, .1); },
                    detail::concat("in step ", step, " the norm of the gradients is "),
                    "as is that of the gradient of parameter 1 'matrix'; no parameter is changed");
                CHECK(model.values() == values);
                CHECK(optimizer.steps() == step - 1);
                CHECK(!model.row.has_gradient());
                CHECK(!model.matrix.has_gradient());
              }
              right.set_gradients(10 * step);
              model.set_gradients(10 * step);
              CHECK(optimizer.step(model, .1) == undisturbed.step(right, .1));
              CHECK(model.values() == right.values());
            }
          });
  });
}

TEST_CASE("without clipping, what is not finite propagates to its parameter, and gradient_norm says so") {
  on_every_grid([](Grid const& grid) {
    for (double const value : {nan, infinity})
      with_every_optimizer(0, [&](std::string const& name, auto optimizer) {
        INFO(name);
        Model model(grid), right(grid);
        auto undisturbed = optimizer;
        set_element(model.matrix.gradient, 3, 5, value);
        double const norm = optim::gradient_norm(model);
        CHECK((std::isnan(value) ? std::isnan(norm) : std::isinf(norm)));
        optimizer.step(model, .1);
        undisturbed.step(right, .1);
        CHECK(!std::isfinite(to_vector(model.matrix.value)[3 * 6 + 5]));
        CHECK(to_vector(model.row.value) == to_vector(right.row.value));
      });
  });
}

TEST_CASE("options of optimizers are checked where the optimizer is made") {
  using A = optim::AdamWOptions;
  using F = optim::AdafactorOptions;
  using S = optim::SgdOptions;
  auto const refused = [](auto options, std::string const& name, double value, auto make) {
    expect_refusal<OptionError>(
        name + " = " + detail::concat(value), [&] { make(options); },
        "option " + name + " = " + detail::concat(value) + ": give a");
  };
  auto const adamw = [](A const& options) { optim::AdamW<>{options}; };
  auto const adafactor = [](F const& options) { optim::Adafactor<>{options}; };
  auto const sgd = [](S const& options) { optim::Sgd<>{options}; };
  for (double const value : {-.1, 1.0, 1.5, nan, infinity, -infinity}) {
    refused(A{.beta1 = value}, "beta1", value, adamw);
    refused(A{.beta2 = value}, "beta2", value, adamw);
    refused(S{.momentum = value}, "momentum", value, sgd);
  }
  for (double const value : {-1.0, nan, -infinity}) {
    refused(A{.max_norm = value}, "max_norm", value, adamw);
    refused(F{.max_norm = value}, "max_norm", value, adafactor);
    refused(S{.max_norm = value}, "max_norm", value, sgd);
    refused(F{.max_relative_update = value}, "max_relative_update", value, adafactor);
  }
  refused(F{.max_relative_update = 0}, "max_relative_update", 0, adafactor);
  for (double const value : {-1e-9, nan, infinity}) {
    refused(A{.epsilon = value}, "epsilon", value, adamw);
    refused(A{.weight_decay = value}, "weight_decay", value, adamw);
    refused(F{.decay_exponent = value}, "decay_exponent", value, adafactor);
    refused(F{.epsilon = value}, "epsilon", value, adafactor);
    refused(F{.smallest_scale = value}, "smallest_scale", value, adafactor);
    refused(S{.weight_decay = value}, "weight_decay", value, sgd);
  }
  for (std::int64_t const value : {0, -3})
    expect_refusal<OptionError>(
        "smallest_factored", [&] { optim::Adafactor<>({.smallest_factored = value}); },
        detail::concat("option smallest_factored = ", value, ": give 1 or more"));
  expect_refusal<OptionError>(
      "AdafactorOptions::decay: step 0", [] { F{}.decay(0); }, "option step = 0: give 1 or more");
}

TEST_CASE("the learning rate of a step is a finite number of 0 or more") {
  Grid const grid(runtime(), {1, ranks()});
  with_every_optimizer(1, [&](std::string const& name, auto optimizer) {
    Model model(grid);
    auto const values = model.values();
    for (double const rate : {-1e-3, nan, infinity})
      expect_refusal<OptionError>(
          name + ": learning rate", [&] { optimizer.step(model, rate); },
          detail::concat("option learning_rate = ", rate, ": give a finite number of 0 or more"));
    optimizer.step(model, 0);
    CHECK(model.values() == values);
  });
}

TEST_CASE("numbers of schedules are checked where a rate is asked for") {
  struct Mistake {
    std::string name;
    std::function<double()> ask;
    std::string_view words;
  };
  using namespace optim;
  std::vector<Mistake> const mistakes = {
      {"WarmupThenLinear: peak", [] { return WarmupThenLinear{nan, 1, 10}(1); }, "option peak = nan"},
      {"WarmupThenLinear: warmup", [] { return WarmupThenLinear{1, -3, 10}(1); }, "option warmup = -3: give 0 or more"},
      {"WarmupThenLinear: total", [] { return WarmupThenLinear{1, 1000, 10}(1); },
       "option total = 10: give more than the 1000 of warmup"},
      {"WarmupThenLinear: step", [] { return WarmupThenLinear{1, 1, 10}(-1); }, "option step = -1: give 0 or more"},
      {"LinearDecay: rate", [] { return LinearDecay{-1, 10}(1); }, "option rate = -1"},
      {"LinearDecay: offset", [] { return LinearDecay{1, 10, -1}(1); }, "option offset = -1"},
      {"LinearDecay: total", [] { return LinearDecay{1, 10, 10}(1); },
       "option total = 10: give more than the 10 of offset"},
      {"LinearDecay: step", [] { return LinearDecay{1, 10}(-1); }, "option step = -1"},
      {"WarmupThenCosine: peak", [] { return WarmupThenCosine{infinity, 1, 10}(1); }, "option peak = inf"},
      {"WarmupThenCosine: warmup", [] { return WarmupThenCosine{1, -1, 10}(1); }, "option warmup = -1"},
      {"WarmupThenCosine: total", [] { return WarmupThenCosine{1, 10, 10}(10); },
       "option total = 10: give more than the 10 of warmup"},
      {"WarmupThenCosine: lowest", [] { return WarmupThenCosine{1, 1, 10, -1}(1); }, "option lowest = -1"},
      {"InverseSquareRoot: factor", [] { return InverseSquareRoot{-1}(1); }, "option factor = -1"},
      {"InverseSquareRoot: constant", [] { return InverseSquareRoot{1, -1}(1); }, "option constant = -1"},
      {"InverseSquareRoot: step", [] { return InverseSquareRoot{}(-1); }, "option step = -1"},
      {"WarmupThenInverseSquareRoot: peak", [] { return WarmupThenInverseSquareRoot{nan, 1}(1); }, "option peak = nan"},
      {"WarmupThenInverseSquareRoot: warmup", [] { return WarmupThenInverseSquareRoot{1, -1}(1); },
       "option warmup = -1"},
      {"WarmupThenInverseSquareRoot: step", [] { return WarmupThenInverseSquareRoot{1, 1}(-1); }, "option step = -1"},
  };
  for (Mistake const& mistake : mistakes)
    expect_refusal<OptionError>(mistake.name, [&] { mistake.ask(); }, mistake.words);
}

TEST_CASE("machines that have no such numbers are refused by each function of the cost model") {
  cost::Machine const good{.name = "good", .flops = 1e9, .memory_bandwidth = 1e9, .link_bandwidth = 1e9, .latency = 0};
  auto const changed = [&](auto member, auto value) {
    cost::Machine machine = good;
    machine.*member = value;
    return machine;
  };
  std::vector<std::pair<cost::Machine, std::string_view>> const machines = {
      {{}, "option Machine::flops = 0: give a finite number above 0"},
      {changed(&cost::Machine::flops, nan), "option Machine::flops = nan"},
      {changed(&cost::Machine::memory_bandwidth, -1.0), "option Machine::memory_bandwidth = -1"},
      {changed(&cost::Machine::link_bandwidth, infinity), "option Machine::link_bandwidth = inf"},
      {changed(&cost::Machine::latency, -1e-6), "option Machine::latency = -1e-06: give a finite number of 0 or more"},
      {changed(&cost::Machine::torus_dimensions, 0), "option Machine::torus_dimensions = 0: give 1 or more"},
  };
  for (auto const& [machine, words] : machines) {
    expect_refusal<OptionError>("seconds_of work", [&] { cost::seconds_of(Ledger::Work{}, machine); }, words);
    expect_refusal<OptionError>("seconds_of traffic", [&] { cost::seconds_of(Ledger::Traffic{}, machine); }, words);
    expect_refusal<OptionError>("estimate", [&] { cost::estimate(Ledger{}, machine); }, words);
  }
  Ledger::Traffic nobody;
  nobody.ranks = 0;
  expect_refusal<OptionError>(
      "seconds_of traffic: no ranks", [&] { cost::seconds_of(nobody, good); },
      "option Traffic::ranks = 0: give 1 or more");
  CHECK(cost::estimate(Ledger{}, good).total() == 0);
}

}  // namespace
