// SPDX-License-Identifier: Apache-2.0
// Adafactor on parameters of all specs, whole and factored, against plain loops; the values of the cases.
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <gshard/optim.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

template <class... Tensors>
struct Model {
  std::tuple<Parameter<Tensors>...> parameters;

  explicit Model(Tensors const&... values) : parameters{Parameter<Tensors>{values, {}}...} {}

  template <int Index = 0>
  auto& get() {
    return std::get<Index>(parameters);
  }

  template <class Visit>
  void for_each_parameter(Visit const& visit) {
    std::apply([&](auto&... parameter) { (visit(parameter), ...); }, parameters);
  }
};

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Adafactor as in Shazeer and Stern 2018, Algorithms 4 and 5, of matrices one after another.
struct Reference {
  optim::AdafactorOptions options;
  std::int64_t matrices, rows, columns;
  bool is_factored;
  Values squares, of_rows, of_columns;

  Reference(optim::AdafactorOptions const& given, std::int64_t count, std::int64_t r, std::int64_t c)
      : options(given), matrices(count), rows(r), columns(c), is_factored(std::min(r, c) >= given.smallest_factored) {
    squares.resize(static_cast<std::size_t>(count * r * c));
    of_rows.resize(static_cast<std::size_t>(count * r));
    of_columns.resize(static_cast<std::size_t>(count * c));
  }

  double square(std::int64_t m, std::int64_t r, std::int64_t c) const {
    if (!is_factored) return squares[static_cast<std::size_t>((m * rows + r) * columns + c)];
    double sum = 0;
    for (std::int64_t k = 0; k < rows; ++k) sum += of_rows[static_cast<std::size_t>(m * rows + k)];
    return of_rows[static_cast<std::size_t>(m * rows + r)] * of_columns[static_cast<std::size_t>(m * columns + c)] /
           sum;
  }

  void step(std::int64_t number, double rate, Values& values, Values const& gradient) {
    double const kept = number == 1 ? 0 : 1 - std::pow(static_cast<double>(number), -options.decay_exponent);
    for (double& x : of_rows) x *= kept;
    for (double& x : of_columns) x *= kept;
    std::size_t i = 0;
    for (std::int64_t m = 0; m < matrices; ++m)
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t c = 0; c < columns; ++c, ++i) {
          double const g2 = gradient[i] * gradient[i] + options.epsilon;
          squares[i] = kept * squares[i] + (1 - kept) * g2;
          of_rows[static_cast<std::size_t>(m * rows + r)] += (1 - kept) * g2;  // sums, where the library has means
          of_columns[static_cast<std::size_t>(m * columns + c)] += (1 - kept) * g2;
        }
    Values update;
    double update_squares = 0, value_squares = 0;
    i = 0;
    for (std::int64_t m = 0; m < matrices; ++m)
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t c = 0; c < columns; ++c, ++i) {
          update.push_back(gradient[i] / std::sqrt(square(m, r, c)));
          update_squares += update[i] * update[i];
          value_squares += values[i] * values[i];
        }
    double const count = static_cast<double>(values.size());
    double const scale = std::max(std::sqrt(value_squares / count), options.smallest_scale);
    double const clip = std::max(1.0, std::sqrt(update_squares / count) / options.max_relative_update);
    for (i = 0; i < values.size(); ++i) values[i] -= rate * scale * update[i] / clip;
  }
};

/// Four steps of a parameter of this type, with and without factors, against the reference.
template <class Tensor>
void check_steps(Grid const& grid, Extents const& extents) {
  std::int64_t const columns = extents[Tensor::rank - 1];
  std::int64_t const rows = Tensor::rank > 1 ? extents[Tensor::rank - 2] : 1;
  std::int64_t const matrices = product(extents) / (rows * columns);
  for (std::int64_t const smallest : {2, 100}) {
    optim::AdafactorOptions const options{.max_relative_update = .9, .smallest_factored = smallest};
    INFO("factored from ", smallest, " on, extents ", gshard::detail::text_of(extents));
    Model<Tensor> model(filled<Tensor>(grid, extents, 1, smooth));
    Values values = dense_values(extents, 1, 1, smooth);
    Reference reference(options, matrices, rows, columns);
    optim::Adafactor<> optimizer(options);
    for (int step = 1; step <= 4; ++step) {
      model.get().gradient = filled<Tensor>(grid, extents, 10 + step, smooth);
      reference.step(step, .1 / step, values, dense_values(extents, 10 + step, 1, smooth));
      CHECK(optimizer.step(model, .1 / step) == 0);
      CHECK(difference(model.get().value, values, 1e-12) == "");
    }
  }
}

/// The value after one step of a matrix, all of whose extents are factored.
template <class Tensor>
Tensor after_step(Grid const& grid, Dense const& value, Values const& gradient, double rate,
                  optim::AdafactorOptions options = {}) {
  options.smallest_factored = 1;
  Model<Tensor> model(tensor_of<Tensor>(grid, value));
  model.get().gradient = tensor_of<Tensor>(grid, {value.extents, gradient});
  optim::Adafactor<>(options).step(model, rate);
  return model.get().value;
}

/// `check` with each way of holding a matrix.
template <class Check>
void held_in_every_way(Check const& check) {
  on_every_grid([&](Grid const& grid) {
    check.template operator()<On<_, _>>(grid);
    check.template operator()<On<"expert", _>>(grid);
    check.template operator()<On<_, "expert">>(grid);
    check.template operator()<On<"data", "expert">>(grid);
    check.template operator()<On<_, "expert,data">>(grid);
  });
}

}  // namespace

TEST_CASE("Adafactor: several steps, parameters held in every way, uneven and empty shards") {
  on_every_grid([](Grid const& grid) {
    check_steps<On<_, _>>(grid, {5, 3});
    check_steps<On<"expert", _>>(grid, {5, 3});
    check_steps<On<_, "expert">>(grid, {5, 3});
    check_steps<On<"data", "expert">>(grid, {5, 3});
    check_steps<On<_, "data,expert">>(grid, {2, 7});
    check_steps<On<"expert", _, _>>(grid, {3, 4, 5});
    check_steps<On<"expert", "data", _>>(grid, {3, 4, 5});
    check_steps<On<_, "expert", "data">>(grid, {3, 2, 5});
    check_steps<On<_, "data", _, "expert">>(grid, {2, 3, 4, 5});
    check_steps<On<"data,expert">>(grid, {5});
  });
}

TEST_CASE("Adafactor: an empty parameter, and scalars") {
  on_every_grid([](Grid const& grid) {
    Model model(On<"expert", _>(grid, {0, 4}), On<>(grid), On<_, "data">(grid, {3, 0}));
    model.get<0>().gradient = On<"expert", _>(grid, {0, 4});
    model.get<1>().gradient = tensor_of<On<>>(grid, {{}, {4}});
    model.get<2>().gradient = On<_, "data">(grid, {3, 0});
    optim::Adafactor<>({.smallest_factored = 1}).step(model, .5);
    CHECK(difference(model.get<1>().value, {-.0005}, 1e-15) == "");  // 1e-3 for its root mean square of 0
  });
}

TEST_CASE("H1: the second moments are the same whether statistics are sums or means") {
  // V = [[1,4],[9,36]], so each update is 1 where the gradient is [[1,2],[3,6]].
  held_in_every_way([]<class Tensor>(Grid const& grid) {
    CHECK(difference(after_step<Tensor>(grid, {{2, 2}, {1, 1, 1, 1}}, {1, 2, 3, 6}, .25), {.75, .75, .75, .75},
                     1e-15) == "");
  });
}

TEST_CASE("H2: row and column statistics of a split matrix are global") {
  held_in_every_way([]<class Tensor>(Grid const& grid) {
    Values const right{1 - 3.1622776601683795, 1, 1, 1 - 1.0540925533894598};
    CHECK(
        difference(after_step<Tensor>(grid, {{2, 2}, {1, 1, 1, 1}}, {1, 0, 0, 3}, 1, {.max_relative_update = infinity}),
                   right, 1e-14) == "");
  });
}

TEST_CASE("H3: an update of RMS 5/3 is cut to 1, one of RMS 1/2 is left alone") {
  held_in_every_way([]<class Tensor>(Grid const& grid) {
    Values const cut{1 - 1.8973665961010275, 1, 1, 1 - .6324555320336759};
    CHECK(difference(after_step<Tensor>(grid, {{2, 2}, {1, 1, 1, 1}}, {1, 0, 0, 3}, 1), cut, 1e-14) == "");
    // One gradient of 1 among four elements: u = sqrt(1 / (1/2 * 1/2 / (1/4))) = 1 there, RMS 1/2.
    CHECK(difference(after_step<Tensor>(grid, {{2, 2}, {1, 1, 1, 1}}, {1, 0, 0, 0}, 1), {0, 1, 1, 1}, 1e-14) == "");
  });
}

TEST_CASE("H4: a parameter's scale is its global RMS") {
  held_in_every_way([]<class Tensor>(Grid const& grid) {
    CHECK(difference(after_step<Tensor>(grid, {{2, 2}, {1, 2, 3, 4}}, {1, 0, 0, 3}, .01),
                     {.9480384757729337, 2, 3, 3.982679491924311}, 1e-14) == "");
  });
}

TEST_CASE("H8: each scalar moves by its own scale, in any order") {
  on_every_grid([](Grid const& grid) {
    auto const scalar = [&](double value) { return tensor_of<On<>>(grid, {{}, {value}}); };
    for (bool const turned : {false, true}) {
      Model model(scalar(turned ? 1 : 2), scalar(turned ? 2 : 1));
      model.for_each_parameter([&](auto& parameter) { parameter.gradient = scalar(7); });
      optim::Adafactor<>{}.step(model, .01);
      CHECK(difference(model.get<0>().value, {turned ? .99 : 1.98}, 1e-15) == "");
      CHECK(difference(model.get<1>().value, {turned ? 1.98 : .99}, 1e-15) == "");
    }
  });
}

TEST_CASE(
    "a matrix factor never mixes experts: each moves as if it were alone with its gradient, however large others' are") {
  on_every_grid([](Grid const& grid) {
    optim::AdafactorOptions const options{.max_relative_update = infinity, .smallest_factored = 2};
    auto const run = [&](double other) {
      Values gradient = dense_values({2, 3, 4}, 5, 1, smooth);
      for (std::size_t i = 12; i < 24; ++i) gradient[i] *= other;
      Model<On<"expert", _, _>> model(tensor_of<On<"expert", _, _>>(grid, {{2, 3, 4}, Values(24, 1)}));
      model.get().gradient = tensor_of<On<"expert", _, _>>(grid, {{2, 3, 4}, gradient});
      optim::Adafactor<>(options).step(model, .1);
      return collected(model.get().value);
    };
    Values const one = run(1), other = run(1e3);
    for (std::size_t i = 0; i < 24; ++i) CHECK(one[i] == doctest::Approx(other[i]).epsilon(1e-12));
  });
}

TEST_CASE("factored statistics are held from 128 on, and take M + H elements in place of M H") {
  on_every_grid([](Grid const& grid) {
    auto const held = [&](Extents const& extents) {
      Model<On<"expert", _, _>> model(filled<On<"expert", _, _>>(grid, extents, 1, smooth));
      model.get().gradient = filled<On<"expert", _, _>>(grid, extents, 2, smooth);
      std::int64_t const before = grid.memory().ledger().bytes_in_use() - 8 * model.get().gradient.local_size();
      optim::Adafactor<> optimizer;
      optimizer.step(model, .1);
      return grid.memory().ledger().bytes_in_use() - before;
    };
    std::int64_t const experts = On<"expert", _, _>(grid, {4, 1, 1}).local_size();
    CHECK(held({4, 128, 256}) == 8 * experts * (128 + 256));
    CHECK(held({4, 127, 256}) == 8 * experts * 127 * 256);
  });
}

TEST_CASE("steps after the first allocate nothing") {
  on_every_grid([](Grid const& grid) {
    Model<On<"expert", _, "data">, On<_>> model(filled<On<"expert", _, "data">>(grid, {4, 8, 6}, 1, smooth),
                                                On<_>(grid, {9}));
    optim::Adafactor<optim::SplitOver<"data">> optimizer({.smallest_factored = 2, .max_norm = 1});
    std::int64_t after_first = 0;
    for (int step = 1; step <= 4; ++step) {
      model.get<0>().gradient = filled<On<"expert", _, "data">>(grid, {4, 8, 6}, 1 + step, smooth);
      model.get<1>().gradient = filled<On<_>>(grid, {9}, 2 + step, smooth);
      optimizer.step(model, .1);
      std::int64_t const allocations = grid.memory().allocations<On<_>::memory_space>();
      if (step == 1) after_first = allocations;
      CHECK(allocations == after_first);
    }
  });
}

TEST_CASE("float parameters: gradients of 0 leave their elements alone, tiny and large ones move them by the rate") {
  using Floats = ShardedTensor<Grid, Spec<"expert", "data">, float>;
  on_every_grid([](Grid const& grid) {
    for (double const size : {0.0, 1e-37, 1e-18, 1e-6, 1.0, 1e15, 1e25, 1e37})
      for (std::int64_t const smallest : {2, 100})
        for (double const epsilon : {1e-30, 0.0}) {
          Model<Floats> model(from_vector<Floats>(grid, {4, 3}, std::vector<float>(12, 1)));
          model.get().gradient = from_vector<Floats>(grid, {4, 3}, std::vector<float>(12, static_cast<float>(size)));
          optim::Adafactor<>({.epsilon = epsilon, .smallest_factored = smallest}).step(model, .5);
          double const share =
              size == 0 ? 0 : size / std::sqrt(size * size + epsilon);  // below the root of epsilon not 1
          CHECK(difference(model.get().value, Values(12, 1 - .5 * share), 1e-6) == "");
        }
  });
}

TEST_CASE("gradients are scaled to the largest norm before all else") {
  on_every_grid([](Grid const& grid) {
    // Scaled to 1 each, they are as large as the root of epsilon.
    Model<On<"data", "expert">> model(tensor_of<On<"data", "expert">>(grid, {{2, 2}, Values(4, 1)}));
    model.get().gradient = tensor_of<On<"data", "expert">>(grid, {{2, 2}, Values(4, 4)});
    CHECK(optim::Adafactor<>({.epsilon = 1, .smallest_factored = 1, .max_norm = 2}).step(model, 1) ==
          doctest::Approx(8).epsilon(1e-15));
    CHECK(difference(model.get().value, Values(4, 1 - 1 / std::sqrt(2.0)), 1e-14) == "");
  });
}

TEST_CASE("T32: the decay of second moments") {
  optim::AdafactorOptions const options;
  std::pair<std::int64_t, double> const table[] = {{0, 0},
                                                   {1, .42565082250148256},
                                                   {2, .5847563534614942},
                                                   {9, .8415106807538887},
                                                   {99, .9748811356849042},
                                                   {9999, .9993690426555198}};
  // the library counts from 1
  for (auto const& [step, decay] : table) CHECK(options.decay(step + 1) == doctest::Approx(decay).epsilon(1e-14));
}
