// SPDX-License-Identifier: Apache-2.0
// AdamW on parameters of all specs against plain loops, the common norm of gradients, and schedules.
#include <cmath>
#include <cstdint>
#include <utility>

#include <gshard/optim.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

/// Parameters held in every way, one with an unreduced sum's worth of uneven shards, one empty.
struct Parameters {
  Parameter<On<_, _>> replicated;
  Parameter<On<"expert", _>> by_expert;
  Parameter<On<"data", "expert">> by_both;
  Parameter<On<"data,expert">> by_all;
  Parameter<On<_>> empty;

  explicit Parameters(Grid const& grid)
      : replicated{filled<On<_, _>>(grid, {2, 3}, 1, smooth), {}},
        by_expert{filled<On<"expert", _>>(grid, {3, 2}, 2, smooth), {}},
        by_both{filled<On<"data", "expert">>(grid, {4, 5}, 3, smooth), {}},
        by_all{filled<On<"data,expert">>(grid, {1}, 4, smooth), {}},
        empty{On<_>(grid, {0}), {}} {}

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(replicated);
    visit(by_expert);
    visit(by_both);
    visit(by_all);
    visit(empty);
  }

  /// Gives parameter k the gradient of seed 10 step + k.
  void set_gradients(std::int64_t step) {
    std::int64_t seed = 10 * step;
    for_each_parameter([&](auto& parameter) {
      parameter.gradient = filled<std::remove_cvref_t<decltype(parameter.gradient)>>(
          parameter.value.mesh(), parameter.value.extents(), ++seed, smooth);
    });
  }
};

/// The same parameters in another order.
struct Reversed {
  Parameters& parameters;

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(parameters.empty);
    visit(parameters.by_all);
    visit(parameters.by_both);
    visit(parameters.by_expert);
    visit(parameters.replicated);
  }
};

Extents const shapes[] = {{2, 3}, {3, 2}, {4, 5}, {1}, {0}};

/// AdamW as in Loshchilov and Hutter 2019, Algorithm 2, with the gradients scaled to the largest common norm.
struct Reference {
  optim::AdamWOptions options;
  std::vector<Values> values, means, squares;
  int step = 0;

  explicit Reference(optim::AdamWOptions const& given) : options(given) {
    for (std::int64_t k = 0; k < 5; ++k) {
      values.push_back(dense_values(shapes[k], k + 1, 1, smooth));
      means.emplace_back(values.back().size(), 0);
      squares.emplace_back(values.back().size(), 0);
    }
  }

  /// Returns the norm before scaling.
  double run(double rate) {
    ++step;
    std::vector<Values> gradients;
    double squared = 0;
    for (std::int64_t k = 0; k < 5; ++k) {
      gradients.push_back(dense_values(shapes[k], 10 * step + k + 1, 1, smooth));
      for (double g : gradients.back()) squared += g * g;
    }
    double const norm = std::sqrt(squared);
    double const scale = options.max_norm > 0 && norm > options.max_norm ? options.max_norm / norm : 1;
    for (std::size_t k = 0; k < 5; ++k)
      for (std::size_t i = 0; i < values[k].size(); ++i) {
        double const g = scale * gradients[k][i];
        means[k][i] = options.beta1 * means[k][i] + (1 - options.beta1) * g;
        squares[k][i] = options.beta2 * squares[k][i] + (1 - options.beta2) * g * g;
        double const mean = means[k][i] / (1 - std::pow(options.beta1, step)),
                     square = squares[k][i] / (1 - std::pow(options.beta2, step));
        values[k][i] -= rate * (mean / (std::sqrt(square) + options.epsilon) + options.weight_decay * values[k][i]);
      }
    return norm;
  }
};

template <class Model>
void check_values(Model& model, std::vector<Values> const& right) {
  std::size_t k = 0;
  model.for_each_parameter([&](auto const& parameter) {
    INFO("parameter ", k);
    CHECK(difference(parameter.value, right[k++], 1e-12) == "");
  });
}

}  // namespace

TEST_CASE("AdamW: several steps with bias correction, weight decay and clipping, parameters held in every way") {
  optim::AdamWOptions const table[] = {
      {},
      {.beta1 = .8, .beta2 = .9, .epsilon = 1e-3, .weight_decay = .1},
      {.beta1 = 0, .max_norm = .5},
      {.weight_decay = .01, .max_norm = 1e6},
  };
  on_every_grid([&](Grid const& grid) {
    for (auto const& options : table) {
      Parameters parameters(grid);
      Reference reference(options);
      optim::AdamW<> optimizer(options);
      for (int step = 1; step <= 4; ++step) {
        parameters.set_gradients(step);
        double const rate = .1 / step;
        double const norm = reference.run(rate);
        CHECK(optim::gradient_norm(parameters) == doctest::Approx(norm).epsilon(1e-13));
        CHECK(optimizer.step(parameters, rate) == doctest::Approx(options.max_norm > 0 ? norm : 0).epsilon(1e-13));
        CHECK(optimizer.steps() == step);
        check_values(parameters, reference.values);
        parameters.for_each_parameter([](auto const& parameter) { CHECK(!parameter.has_gradient()); });
      }
    }
  });
}

TEST_CASE("the first step moves each element by the rate, against its gradient's sign") {
  on_every_grid([](Grid const& grid) {
    Parameters parameters(grid);
    parameters.by_expert.gradient = tensor_of<On<"expert", _>>(grid, {{3, 2}, {5, -5, 1e-3, -1e-3, 200, 0}});
    Values right = dense_values({3, 2}, 2, 1, smooth);
    double const moves[] = {-.1, .1, -.1, .1, -.1, 0};
    for (std::size_t i = 0; i < 6; ++i) right[i] += moves[i];
    optim::AdamW<> optimizer;
    optimizer.step(parameters, .1);
    CHECK(difference(parameters.by_expert.value, right, 1e-5) == "");
  });
}

TEST_CASE("a parameter without a gradient stays as it is, decay or not") {
  on_every_grid([](Grid const& grid) {
    Parameters parameters(grid);
    parameters.set_gradients(1);
    parameters.by_both.clear_gradient();
    optim::AdamW<> optimizer({.weight_decay = .5, .max_norm = 1});
    optimizer.step(parameters, .1);
    CHECK(difference(parameters.by_both.value, dense_values({4, 5}, 3, 1, smooth)) == "");
    CHECK(difference(parameters.replicated.value, dense_values({2, 3}, 1, 1, smooth), 1e-3) != "");
  });
}

TEST_CASE("the order of the parameters changes nothing") {
  on_every_grid([](Grid const& grid) {
    Parameters one(grid), other(grid);
    Reversed reversed{other};
    optim::AdamW<> first({.max_norm = 1}), second({.max_norm = 1});
    for (int step = 1; step <= 3; ++step) {
      one.set_gradients(step);
      other.set_gradients(step);
      CHECK(first.step(one, .1) == doctest::Approx(second.step(reversed, .1)).epsilon(1e-14));
    }
    std::vector<Values> right;
    one.for_each_parameter([&](auto const& parameter) { right.push_back(collected(parameter.value)); });
    check_values(other, right);
  });
}

TEST_CASE("clear_gradients forgets them all") {
  Grid const grid(runtime(), {1, ranks()});
  Parameters parameters(grid);
  parameters.set_gradients(1);
  optim::clear_gradients(parameters);
  parameters.for_each_parameter([](auto const& parameter) { CHECK(!parameter.has_gradient()); });
  CHECK(optim::gradient_norm(parameters) == 0);
}

// ---- Norms ----

namespace {

struct Two {
  Parameter<On<_>> replicated;
  Parameter<On<"expert">> sharded;

  Two(Grid const& grid, Values const& whole, Values const& parts)
      : replicated{On<_>(grid, {std::ssize(whole)}), {}}, sharded{On<"expert">(grid, {std::ssize(parts)}), {}} {
    replicated.gradient = from_vector<On<_>>(grid, replicated.value.extents(), whole);
    sharded.gradient = from_vector<On<"expert">>(grid, sharded.value.extents(), parts);
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(replicated);
    visit(sharded);
  }
};

}  // namespace

TEST_CASE("D4, D5: the norm counts each element once, and is the same on every rank") {
  on_every_grid([](Grid const& grid) {
    Two d4(grid, {3}, {4, 12});
    CHECK(optim::gradient_norm(d4) == 13);
    Two d5(grid, {0}, {3, 4});
    CHECK(optim::gradient_norm(d5) == 5);
    // All is scaled by 1/5, and then the first step's size does not depend on the scale.
    optim::AdamW<> optimizer({.beta1 = 0, .beta2 = 0, .epsilon = 1, .max_norm = 1});
    CHECK(optimizer.step(d5, 1) == doctest::Approx(5).epsilon(1e-15));
    CHECK(difference(d5.sharded.value, {-.6 / 1.6, -.8 / 1.8}, 1e-14) == "");
  });
}

// ---- Numbers that a float holds, but not their squares ----

namespace {

/// A float parameter of ones that takes steps with the same gradient.
struct Single {
  using Tensor = ShardedTensor<Grid, Spec<"expert", _>>;
  Parameter<Tensor> parameter;

  explicit Single(Grid const& grid) : parameter{Tensor(grid, {3, 2}), {}} {
    Kokkos::deep_copy(parameter.value.local(), 1);
  }

  void set_gradient(double value) {
    parameter.gradient = Tensor(parameter.value.mesh(), {3, 2});
    Kokkos::deep_copy(parameter.gradient.local(), static_cast<float>(value));
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    visit(parameter);
  }
};

}  // namespace

TEST_CASE("float gradients of any size: the norm, and steps of AdamW, which do not depend on the size") {
  on_every_grid([](Grid const& grid) {
    for (double const size : {1e-37, 1e-25, 1.0, 1e25, 1e37}) {
      INFO("gradients of ", size);
      Single model(grid);
      optim::AdamW<> optimizer({.beta1 = .5, .beta2 = .75, .epsilon = 0});
      model.set_gradient(size);
      CHECK(optim::gradient_norm(model) == doctest::Approx(std::sqrt(6.0) * size).epsilon(1e-6));
      optimizer.step(model, .25);
      CHECK(difference(model.parameter.value, Values(6, .75), 1e-6) == "");
      // m = (.25 + 1) / 1.5 = 5/6 and v = (.1875 + 1) / 1.75 = 19/28 times the size and its square, where the second
      // gradient is twice the first: m = (.25 + 1) / .75, v = (.1875 + 1) / .4375
      model.set_gradient(2 * size);
      optimizer.step(model, .25);
      CHECK(difference(model.parameter.value, Values(6, .75 - .25 * (1.25 / .75) / std::sqrt(1.1875 / .4375)), 1e-6) ==
            "");
      // clipped, the first step is the same
      Single clipped(grid);
      clipped.set_gradient(size);
      optim::AdamW<> clips({.epsilon = 0, .max_norm = size});
      CHECK(clips.step(clipped, .25) == doctest::Approx(std::sqrt(6.0) * size).epsilon(1e-6));
      CHECK(difference(clipped.parameter.value, Values(6, .75), 1e-6) == "");
    }
  });
}

TEST_CASE("gradients of 0 move nothing, also where epsilon is 0; so do models without parameters or elements") {
  on_every_grid([](Grid const& grid) {
    Single model(grid);
    optim::AdamW<> optimizer({.epsilon = 0, .max_norm = 1});
    for (int step = 0; step < 2; ++step) {
      model.set_gradient(0);
      CHECK(optimizer.step(model, .25) == 0);
      CHECK(difference(model.parameter.value, Values(6, 1)) == "");
    }
    optim::detail::NoParameters none;
    CHECK(optim::AdamW<>({.max_norm = 1}).step(none, .1) == 0);
    CHECK(optim::gradient_norm(none) == 0);
    Single empty(grid);
    empty.parameter = {Single::Tensor(grid, {0, 2}), Single::Tensor(grid, {0, 2})};
    CHECK(optim::AdamW<>({.max_norm = 1}).step(empty, .1) == 0);
  });
}

// ---- Schedules ----

TEST_CASE("schedules") {
  optim::WarmupThenLinear const linear{.001, 50, 100};
  struct Point {
    std::int64_t step;
    double rate;
  };
  for (Point const& p : {Point{1, .00002}, {25, .0005}, {50, .001}, {75, .0005}, {99, .00002}, {100, 0}, {1000, 0}})
    CHECK(linear(p.step) == doctest::Approx(p.rate).epsilon(1e-14));
  CHECK(optim::WarmupThenLinear{.001, 0, 100}(0) == .001);
  CHECK(optim::WarmupThenLinear{.001, 0, 100}(50) == doctest::Approx(.0005).epsilon(1e-14));

  optim::WarmupThenInverseSquareRoot const root{.01, 10000};
  for (Point const& p : {Point{1, 1e-6}, {5000, .005}, {10000, .01}, {40000, .005}, {250000, .002}, {1000000, .001}})
    CHECK(root(p.step) == doctest::Approx(p.rate).epsilon(1e-14));
  CHECK(optim::WarmupThenInverseSquareRoot{.01, 0}(4) == doctest::Approx(.005).epsilon(1e-14));

  optim::WarmupThenCosine const cosine{.001, 50, 250, .0001};
  for (Point const& p : {Point{1, .00002},
                         {25, .0005},
                         {50, .001},
                         {100, .0001 + .0009 * .8535533905932737},
                         {150, .00055},
                         {250, .0001},
                         {1000, .0001}})
    CHECK(cosine(p.step) == doctest::Approx(p.rate).epsilon(1e-14));
  CHECK(optim::WarmupThenCosine{.001, 0, 4}(2) == doctest::Approx(.0005).epsilon(1e-14));
}

TEST_CASE("T32: the paper's learning rate") {
  optim::InverseSquareRoot const rate;
  std::pair<std::int64_t, double> const table[] = {
      {1, .01}, {10000, .01}, {40000, .005}, {250000, .002}, {1000000, .001}};
  for (auto const& [step, right] : table) CHECK(rate(step) == doctest::Approx(right).epsilon(1e-14));
}

TEST_CASE("H5: linear decay begins at its offset and not before") {
  CHECK(optim::LinearDecay{.rate = .001, .total = 100, .offset = 50}(40) == .001);
  CHECK(optim::LinearDecay{.rate = .001, .total = 100, .offset = 50}(75) == doctest::Approx(.0005).epsilon(1e-14));
  optim::LinearDecay const decay{.rate = .001, .total = 100};
  CHECK(decay(0) == .001);
  CHECK(decay(50) == doctest::Approx(.0005).epsilon(1e-14));
  CHECK(decay(100) == 0);
  CHECK(decay(101) == 0);
}
