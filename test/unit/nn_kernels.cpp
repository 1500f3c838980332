// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include <gshard/nn/kernels/cross_entropy.hpp>
#include <gshard/nn/kernels/embedding.hpp>
#include <gshard/nn/kernels/layer_norm.hpp>
#include <gshard/nn/kernels/rms_norm.hpp>
#include <gshard/nn/kernels/softmax.hpp>

#include "kernel_test.hpp"

using namespace gshard;
using namespace gshard::test;
using namespace gshard::nn::detail;
using gshard::detail::launch_teams;
using gshard::detail::RowByTeam;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Widths below, at and above those of the sixteen parts that sums run in.
constexpr int widths[] = {1, 2, 15, 16, 17, 31, 33, 100};

std::vector<double> softmax_of(std::vector<double> const& scores) {
  double largest = -infinity, sum = 0;
  for (double score : scores) largest = std::fmax(largest, score);
  std::vector<double> result;
  for (double score : scores) sum += std::exp(score - largest);
  for (double score : scores) result.push_back(std::exp(score - largest) / sum);
  return result;
}

}  // namespace

// ---- exp ----

TEST_CASE("branchless exp is within 1e-7 of exp over all normal results, and keeps its special values") {
  double worst = 0;
  for (int i = -87000; i <= 88500; ++i) {
    float const x = static_cast<float>(i) * 1.0007e-3f;
    double const right = std::exp(static_cast<double>(x));
    if (right < 1.2e-38 || right > 3.4e38) continue;
    worst = std::fmax(worst, std::abs(gshard::detail::branchless_exp(x) - right) / right);
  }
  CHECK(worst < 1e-7);
  constexpr float inf = std::numeric_limits<float>::infinity();
  CHECK(gshard::detail::branchless_exp(0.0f) == 1.0f);
  CHECK(gshard::detail::branchless_exp(-0.0f) == 1.0f);
  CHECK(gshard::detail::branchless_exp(-200.0f) == 0.0f);
  CHECK(gshard::detail::branchless_exp(-inf) == 0.0f);
  CHECK(gshard::detail::branchless_exp(100.0f) == inf);
  CHECK(gshard::detail::branchless_exp(inf) == inf);
  CHECK(std::isnan(gshard::detail::branchless_exp(std::numeric_limits<float>::quiet_NaN())));
  // subnormal: few bits are left
  CHECK(gshard::detail::branchless_exp(-100.0f) == doctest::Approx(3.783505e-44).epsilon(.03));
}

// ---- softmax ----

TEST_CASE_TEMPLATE("softmax: large scores neither overflow nor vanish (C11), and in place is the same", T, float,
                   double) {
  struct Case {
    std::vector<double> scores, right;
  };
  Case const cases[] = {
      {{200, 0, 150, 0}, {1, 0, 1.9287498479639178e-22, 0}},
      {{1000, 1000}, {.5, .5}},
      {{-1000, -1000, -1000, -1000}, {.25, .25, .25, .25}},
      {{0, std::log(3.0)}, {.25, .75}},
      {{7}, {1}},
  };
  for (Case const& c : cases) {
    auto const scores = matrix_of<T>({c.scores});
    Matrix<T> result("result", 1, c.scores.size());
    softmax<Host, T>(scores, result);
    softmax<Host, T>(scores, scores);
    Kokkos::fence();
    check_near(result, c.right, 1e-7);
    check_near(scores, values_of(result), 0);
  }
  auto const scores = matrix_of<T>({{200, 0, 150, 0}});
  softmax<Host, T>(scores, scores);
  CHECK(scores(0, 2) == doctest::Approx(1.9287498479639178e-22).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("softmax agrees with its definition for every width, and with a scale", T, float, double) {
  for (int width : widths) {
    auto const scores = drawn(Matrix<T>("scores", 5, width), 1);
    Matrix<T> result("result", 5, width);
    softmax<Host, T>(scores, result, T(3));
    Kokkos::fence();
    for (int row = 0; row < 5; ++row) {
      std::vector<double> scaled, mine;
      for (int j = 0; j < width; ++j) {
        scaled.push_back(3.0 * scores(row, j));
        mine.push_back(result(row, j));
      }
      check_near(mine, softmax_of(scaled), sizeof(T) == 4 ? 1e-6 : 1e-14);
    }
  }
}

TEST_CASE("softmax: keys past a sequence's length, and later than a causal query, get 0 and are never read") {
  // Two sequences, one head, two queries, three keys. Sequence 0 has two keys; sequence 1 has none.
  auto const lengths = filled(Vector<int>("lengths", 2), {2, 0});
  auto const scores = matrix_of<double>({{0, 0, not_a_number},
                                         {0, std::log(3.0), not_a_number},
                                         {not_a_number, not_a_number, not_a_number},
                                         {not_a_number, not_a_number, not_a_number}});
  VisibleKeys<Host> visible{.lengths = lengths, .rows_per_sequence = 2, .queries = 2};
  Matrix<double> result("result", 4, 3);
  softmax<Host, double>(scores, result, 1.0, visible);
  Kokkos::fence();
  check_near(result, {.5, .5, 0, .25, .75, 0, 0, 0, 0, 0, 0, 0}, 1e-15);

  visible.causal = true;
  softmax<Host, double>(scores, result, 1.0, visible);
  Kokkos::fence();
  check_near(result, {1, 0, 0, .25, .75, 0, 0, 0, 0, 0, 0, 0}, 1e-15);

  // Step by step: one query at position 1 of a cache of three sees two keys.
  auto const step = matrix_of<double>({{0, std::log(3.0), not_a_number}});
  Matrix<double> stepped("stepped", 1, 3);
  softmax<Host, double>(step, stepped, 1.0, {.causal = true, .first_query = 1});
  Kokkos::fence();
  check_near(stepped, {.25, .75, 0}, 1e-15);
}

TEST_CASE(
    "softmax gradient against central differences, masked and causal; hidden places of the upstream gradient are not read") {
  constexpr int sequences = 3, heads = 2, queries = 4, keys = 19;
  constexpr double scale = .7;
  auto const lengths = filled(Vector<int>("lengths", sequences), {19, 5, 0});
  for (bool causal : {false, true}) {
    VisibleKeys<Host> const visible{
        .lengths = lengths, .rows_per_sequence = heads * queries, .queries = queries, .causal = causal};
    Matrix<double> scores = drawn(Matrix<double>("scores", sequences * heads * queries, keys), 2);
    Matrix<double> const upstream = drawn(Matrix<double>("upstream", scores.extent(0), keys), 3);
    Matrix<double> result("result", scores.extent(0), keys), gradient("gradient", scores.extent(0), keys);
    auto const loss = [&] {
      softmax<Host, double>(scores, result, scale, visible);
      Kokkos::fence();
      return dot(result, upstream);
    };
    loss();
    Matrix<double> poisoned("poisoned", scores.extent(0), keys);
    Kokkos::deep_copy(poisoned, upstream);
    for (int row = 0; row < poisoned.extent_int(0); ++row)
      for (std::int64_t j = visible.count(row, keys); j < keys; ++j) poisoned(row, j) = not_a_number;
    softmax_backward<Host, double>(result, poisoned, gradient, scale, visible);
    softmax_backward<Host, double>(result, poisoned, poisoned, scale, visible);
    Kokkos::fence();
    CHECK(gradient_error(scores, gradient, loss) < 1e-9);
    check_near(poisoned, values_of(gradient), 0);
  }
}

TEST_CASE("softmax by teams, as on accelerators, is softmax by threads up to rounding") {
  auto const lengths = filled(Vector<int>("lengths", 3), {50, 7, 0});
  VisibleKeys<Host> const visible{
      .lengths = lengths, .rows_per_sequence = 4, .queries = 4, .causal = true, .first_query = 20};
  auto const scores = drawn(Matrix<double>("scores", 12, 50), 4);
  Matrix<double> by_thread("by_thread", 12, 50), by_team("by_team", 12, 50);
  softmax<Host, double>(scores, by_thread, 2.0, visible);
  launch_teams<Host>("team", 12, 1, 1,
                     RowByTeam<SoftmaxKernel<double, Host>>{{{scores.data(), 2.0}, by_team.data(), 50, visible}});
  Kokkos::fence();
  check_near(by_team, values_of(by_thread), 1e-15);
}

namespace {

/// The maximum of the first elements of each row.
struct LargestOfRow {
  double const* values;
  double* results;
  std::int64_t columns;
  std::int64_t seen;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    double const* const of = values + row * columns;
    double const largest = lanes.template max<double>(seen, [=](std::int64_t j) { return of[j]; });
    double* const result = results + row;
    lanes.once([=] { *result = largest; });
  }
};

}  // namespace

TEST_CASE("the maximum by threads, and by teams as on accelerators: of minus infinity alone, of NaN, of nothing") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  for (int columns : widths) {
    Matrix<double> values("values", 5, static_cast<std::size_t>(columns));
    Kokkos::deep_copy(values, -infinity);
    values(1, static_cast<std::size_t>(columns - 1)) = -3;
    values(2, 0) = nan;
    values(3, static_cast<std::size_t>(columns - 1)) = nan;
    values(4, static_cast<std::size_t>(columns / 2)) = infinity;
    for (int seen : {columns, 0}) {
      Vector<double> by_thread("by_thread", 5), by_team("by_team", 5);
      gshard::detail::for_each_row<Host>("threads", 5, LargestOfRow{values.data(), by_thread.data(), columns, seen});
      launch_teams<Host>("teams", 5, 1, 1, RowByTeam<LargestOfRow>{{values.data(), by_team.data(), columns, seen}});
      Kokkos::fence();
      for (auto const& found : {by_thread, by_team}) {
        CHECK(found(0) == -infinity);
        if (seen == 0) continue;
        CHECK(found(1) == -3);
        CHECK(std::isnan(found(2)));
        CHECK(std::isnan(found(3)));
        CHECK(found(4) == infinity);
      }
    }
  }
}

// ---- normalisation ----

TEST_CASE("layer and RMS normalisation of small rows") {
  auto const gain = vector_of<double>({1, 1, 2, 1});
  auto const bias = vector_of<double>({0, 0, 1, 0});
  auto const input = matrix_of<double>({{1, 2, 3, 4}, {5, 5, 5, 5}});
  Matrix<double> output("output", 2, 4), statistics("statistics", 2, 2);
  layer_norm<Host, double>(input, gain, bias, output, statistics, 0.25);
  Kokkos::fence();
  // Mean 2.5, variance 1.25: with epsilon .25 the divisor is sqrt(1.5). A constant row gives the bias.
  double const r = 1 / std::sqrt(1.5);
  check_near(output, {-1.5 * r, -.5 * r, 1 + r, 1.5 * r, 0, 0, 1, 0}, 1e-15);
  check_near(statistics, {2.5, r, 5, 2}, 1e-15);

  Vector<double> inverse("inverse", 2);
  rms_norm<Host, double>(matrix_of<double>({{1, 2, 3, 4}, {0, 0, 0, 0}}), gain, output, inverse, 1.5);
  Kokkos::fence();
  // Mean square 7.5, with epsilon 1.5: the divisor is 3.
  check_near(output, {1 / 3., 2 / 3., 2, 4 / 3., 0, 0, 0, 0}, 1e-15);
  check_near(inverse, {1 / 3., 1 / std::sqrt(1.5)}, 1e-15);
}

TEST_CASE("layer normalisation in float survives a large mean: the variance is taken about it") {
  auto const ones = vector_of<float>({1, 1, 1, 1});
  auto const zeros = vector_of<float>({0, 0, 0, 0});
  Matrix<float> output("output", 1, 4), statistics("statistics", 1, 2);
  layer_norm<Host, float>(matrix_of<float>({{10001, 10002, 10003, 10004}}), ones, zeros, output, statistics, 0.0f);
  Kokkos::fence();
  double const r = 1 / std::sqrt(1.25);
  check_near(output, {-1.5 * r, -.5 * r, .5 * r, 1.5 * r}, 1e-6);
}

TEST_CASE("layer normalisation gradients against central differences") {
  for (int width : widths) {
    constexpr int rows = 7;
    Matrix<double> input = drawn(Matrix<double>("input", rows, width), 5);
    Vector<double> gain = drawn(Vector<double>("gain", width), 6);
    Vector<double> bias = drawn(Vector<double>("bias", width), 7);
    Matrix<double> const upstream = drawn(Matrix<double>("upstream", rows, width), 8);
    Matrix<double> output("output", rows, width), statistics("statistics", rows, 2), gradient("gradient", rows, width);
    Vector<double> gain_gradient("gain_gradient", width), bias_gradient("bias_gradient", width);
    auto const loss = [&] {
      layer_norm<Host, double>(input, gain, bias, output, statistics, 0.1);
      Kokkos::fence();
      return dot(output, upstream);
    };
    loss();
    Kokkos::deep_copy(gain_gradient, not_a_number);
    Kokkos::deep_copy(bias_gradient, not_a_number);
    layer_norm_backward<Host, double>(input, gain, statistics, upstream, gradient);
    layer_norm_parameters_backward<Host, double>(input, statistics, upstream, gain_gradient, bias_gradient);
    Kokkos::fence();
    CHECK(gradient_error(input, gradient, loss) < 1e-8);
    CHECK(gradient_error(gain, gain_gradient, loss) < 1e-8);
    CHECK(gradient_error(bias, bias_gradient, loss) < 1e-8);
  }
}

TEST_CASE("RMS normalisation gradients against central differences") {
  for (int width : widths) {
    constexpr int rows = 7;
    Matrix<double> input = drawn(Matrix<double>("input", rows, width), 9);
    Vector<double> gain = drawn(Vector<double>("gain", width), 10);
    Matrix<double> const upstream = drawn(Matrix<double>("upstream", rows, width), 11);
    Matrix<double> output("output", rows, width), gradient("gradient", rows, width);
    Vector<double> statistics("statistics", rows), gain_gradient("gain_gradient", width);
    auto const loss = [&] {
      rms_norm<Host, double>(input, gain, output, statistics, 0.1);
      Kokkos::fence();
      return dot(output, upstream);
    };
    loss();
    Kokkos::deep_copy(gain_gradient, not_a_number);
    rms_norm_backward<Host, double>(input, gain, statistics, upstream, gradient);
    rms_norm_parameters_backward<Host, double>(input, statistics, upstream, gain_gradient);
    Kokkos::fence();
    CHECK(gradient_error(input, gradient, loss) < 1e-8);
    CHECK(gradient_error(gain, gain_gradient, loss) < 1e-8);
  }
}

TEST_CASE("column sums in float over many rows keep single precision, and by teams they are the same up to rounding") {
  constexpr int rows = 100000, columns = 3;
  Matrix<float> input("input", rows, columns), upstream("upstream", rows, columns), statistics("statistics", rows, 2);
  Kokkos::deep_copy(upstream, 0.1f);
  Vector<float> gain_gradient("gain_gradient", columns), bias_gradient("bias_gradient", columns);
  layer_norm_parameters_backward<Host, float>(input, statistics, upstream, gain_gradient, bias_gradient);
  Kokkos::fence();
  // Summed in float the result would be 9998.6.
  for (int j = 0; j < columns; ++j) CHECK(bias_gradient(j) == doctest::Approx(10000.0).epsilon(1e-7));

  Vector<float> gains("gains", columns), biases("biases", columns);
  LayerNormParameterSums<float, Host> const sums{input, statistics, upstream, gains, biases};
  launch_teams<Host>("team", columns, 1, 1,
                     RowByTeam<ColumnTeamSums<LayerNormParameterSums<float, Host>>>{{sums, rows, columns}});
  Kokkos::fence();
  check_near(biases, values_of(bias_gradient), 1e-7);
}

// ---- embedding ----

TEST_CASE("embedding reads rows by number; a padding id or one beyond the table reads nothing and gives zeros") {
  auto const table = matrix_of<float>({{1, 2}, {3, 4}, {5, 6}});
  auto const ids = filled(Vector<int>("ids", 5), {2, -1, 0, 3, 2});
  Matrix<float> output("output", 5, 2);
  Kokkos::deep_copy(output, static_cast<float>(not_a_number));
  embedding<Host, float>(table, ids, output, 2.0f);
  Kokkos::fence();
  check_near(output, {10, 12, 0, 0, 2, 4, 0, 0, 10, 12}, 0);
}

TEST_CASE("embedding over a table split by rows: the blocks' outputs add up, and each block's gradient is its part") {
  auto const whole = matrix_of<double>({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}, {13, 14, 15}});
  auto const ids = filled(Vector<int>("ids", 6), {4, 0, 2, -1, 3, 2});
  auto const upstream = drawn(Matrix<double>("upstream", 6, 3), 12);
  Matrix<double> expected("expected", 6, 3), gradient("gradient", 5, 3);
  embedding<Host, double>(whole, ids, expected);
  embedding_backward<Host, double>(ids, upstream, gradient);
  Kokkos::fence();
  std::vector<double> sum(18), parts;
  // Blocks of ceil(5/4) rows on four ranks: 2, 2, 1, 0.
  for (std::pair<int, int> const& range : {std::pair{0, 2}, {2, 4}, {4, 5}, {5, 5}}) {
    Rank2<double const, Host> const block(whole.data() + 3 * range.first,
                                          static_cast<std::size_t>(range.second - range.first), 3);
    Matrix<double> output("output", 6, 3), part("part", block.extent(0), 3);
    embedding<Host, double>(block, ids, output, 1.0, range.first);
    embedding_backward<Host, double>(ids, upstream, part, 1.0, range.first);
    Kokkos::fence();
    for (std::size_t i = 0; i < 18; ++i) sum[i] += output.data()[i];
    for (double value : values_of(part)) parts.push_back(value);
  }
  check_near(sum, values_of(expected), 0);
  check_near(parts, values_of(gradient), 0);
}

TEST_CASE("embedding gradient adds up repeated ids in the order of the tokens, onto what is there") {
  auto const ids = filled(Vector<int>("ids", 5), {1, 0, 1, -1, 1});
  // In the order of the tokens 1e8 + 1 - 1e8 is 0 in float; any other order gives 1.
  auto const upstream = matrix_of<float>({{1e8, 1}, {2, 2}, {1, 1}, {100, 100}, {-1e8, 1}});
  Matrix<float> gradient("gradient", 2, 2), by_row("by_row", 2, 2);
  embedding_backward<Host, float>(ids, upstream, gradient, 1.0f);
  for_each_row<Host>("row", 2, EmbeddingBackwardByRow<float, Host>{ids, upstream, by_row, 0, 1.0f});
  Kokkos::fence();
  check_near(gradient, {2, 2, 0, 3}, 0);
  check_near(by_row, {2, 2, 0, 3}, 0);
  embedding_backward<Host, float>(ids, upstream, gradient, 2.0f);
  Kokkos::fence();
  check_near(gradient, {6, 6, 0, 9}, 0);
}

TEST_CASE("embedding gradient against central differences") {
  auto const ids = filled(Vector<int>("ids", 6), {1, 3, 1, -1, 0, 1});
  Matrix<double> table = drawn(Matrix<double>("table", 4, 37), 13);
  auto const upstream = drawn(Matrix<double>("upstream", 6, 37), 14);
  Matrix<double> output("output", 6, 37), gradient("gradient", 4, 37);
  auto const loss = [&] {
    embedding<Host, double>(table, ids, output, 1.5);
    Kokkos::fence();
    return dot(output, upstream);
  };
  embedding_backward<Host, double>(ids, upstream, gradient, 1.5);
  Kokkos::fence();
  CHECK(gradient_error(table, gradient, loss) < 1e-9);
}

// ---- cross entropy ----

TEST_CASE_TEMPLATE("cross entropy with label smoothing: T31, J2", T, float, double) {
  struct Case {
    std::vector<double> logits;
    int target;
    double smoothing, right;
  };
  std::vector<double> const j2 = {std::log(.7), std::log(.1), std::log(.1), std::log(.1)};
  Case const cases[] = {
      {{2, 1, 0, -1}, 1, .1, 1.490189698561195},
      {{2, 1, 0, -1}, 1, 0, 1.4401896985611953},
      {j2, 0, .1, .502618},
      {j2, 0, 0, .356675},
      {{1e4, 0}, 1, 0, 1e4},
      {{-1e4, -1e4}, 0, 0, .6931471805599453},
      {{0, -infinity}, 0, 0, 0},
  };
  for (Case const& c : cases) {
    Vector<T> losses("losses", 1), log_sums("log_sums", 1);
    cross_entropy<Host, T>(matrix_of<T>({c.logits}), filled(Vector<int>("targets", 1), {double(c.target)}), losses,
                           log_sums, static_cast<T>(c.smoothing));
    Kokkos::fence();
    CHECK(losses(0) == doctest::Approx(c.right).epsilon(1e-6));
  }
}

TEST_CASE("cross entropy: padding has no loss, no gradient, and its logits are not read (J2)") {
  auto const logits = matrix_of<double>({{2, 1, 0, -1}, {not_a_number, not_a_number, not_a_number, not_a_number}});
  auto const targets = filled(Vector<int>("targets", 2), {1, -1});
  Vector<double> losses("losses", 2), log_sums("log_sums", 2);
  Matrix<double> gradient("gradient", 2, 4);
  cross_entropy<Host, double>(logits, targets, losses, log_sums, .1);
  cross_entropy_backward<Host, double>(logits, targets, log_sums, gradient, 1.0, .1);
  Kokkos::fence();
  check_near(losses, {1.490189698561195, 0}, 1e-14);
  CHECK(log_sums(0) == doctest::Approx(2.4401896985611953).epsilon(1e-14));
  std::vector<double> right = softmax_of({2, 1, 0, -1});
  for (int j = 0; j < 4; ++j) right[static_cast<std::size_t>(j)] -= j == 1 ? .925 : .025;
  right.resize(8);
  check_near(gradient, right, 1e-14);
}

TEST_CASE("T31: at V = 32000 and smoothing .1 the target distribution is .900003125 on, 3.125e-06 off") {
  constexpr int vocabulary = 32000;
  Matrix<double> logits("logits", 1, vocabulary), gradient("gradient", 1, vocabulary);
  auto const targets = filled(Vector<int>("targets", 1), {17});
  Vector<double> losses("losses", 1), log_sums("log_sums", 1);
  cross_entropy<Host, double>(logits, targets, losses, log_sums, .1);
  cross_entropy_backward<Host, double>(logits, targets, log_sums, gradient, 1.0, .1);
  Kokkos::fence();
  CHECK(1.0 / vocabulary - gradient(0, 17) == doctest::Approx(.900003125).epsilon(1e-12));
  CHECK(1.0 / vocabulary - gradient(0, 18) == doctest::Approx(3.125e-06).epsilon(1e-9));
}

TEST_CASE(
    "cross entropy gradient against central differences, scaled by a number and by a scalar on the device, in place too") {
  for (int width : widths)
    for (double smoothing : {0.0, .1}) {
      Matrix<double> logits = drawn(Matrix<double>("logits", 4, width), 15);
      auto const targets = filled(Vector<int>("targets", 4), {0, -1, double(width - 1), double(width / 2)});
      Vector<double> losses("losses", 4), log_sums("log_sums", 4);
      Matrix<double> gradient("gradient", 4, width);
      Kokkos::View<double, Kokkos::LayoutRight, Host> upstream("upstream");
      upstream() = -2.0;
      auto const loss = [&] {
        cross_entropy<Host, double>(logits, targets, losses, log_sums, smoothing);
        Kokkos::fence();
        double sum = 0;
        for (double value : values_of(losses)) sum += value;
        return -2.0 * sum / 3;
      };
      loss();
      cross_entropy_backward<Host, double>(logits, targets, log_sums, gradient, 1.0 / 3, smoothing, upstream);
      Kokkos::fence();
      CHECK(gradient_error(logits, gradient, loss) < 1e-9);
      loss();
      cross_entropy_backward<Host, double>(logits, targets, log_sums, logits, 1.0 / 3, smoothing, upstream);
      Kokkos::fence();
      check_near(logits, values_of(gradient), 0);
    }
}

TEST_CASE(
    "cross entropy over a split vocabulary: the blocks' summaries give the whole loss, their gradients the whole gradient (C11)") {
  constexpr double smoothing = .1;
  auto const logits = matrix_of<double>({{200, 0, 150, 0, 3}, {-1, 2, .5, 0, 1}, {5, 5, 5, 5, 5}});
  auto const targets = filled(Vector<int>("targets", 3), {2, 1, -1});
  Vector<double> losses("losses", 3), log_sums("log_sums", 3);
  Matrix<double> gradient("gradient", 3, 5);
  cross_entropy<Host, double>(logits, targets, losses, log_sums, smoothing);
  cross_entropy_backward<Host, double>(logits, targets, log_sums, gradient, 1.0, smoothing);
  Kokkos::fence();

  std::pair<int, int> const blocks[] = {{0, 2}, {2, 4}, {4, 5}, {5, 5}};
  Matrix<double> parts[4], summaries[4];
  for (int b = 0; b < 4; ++b) {
    auto const [begin, end] = blocks[b];
    parts[b] = Matrix<double>("part", 3, static_cast<std::size_t>(end - begin));
    summaries[b] = Matrix<double>("summary", 3, 4);
    for (int row = 0; row < 3; ++row)
      for (int j = begin; j < end; ++j) parts[b](row, j - begin) = logits(row, j);
    cross_entropy_summary<Host, double>(parts[b], targets, summaries[b], begin);
  }
  Kokkos::fence();
  for (int row = 0; row < 2; ++row) {
    double largest = -infinity, powers = 0, total = 0, target = 0;
    for (auto const& s : summaries) largest = std::fmax(largest, s(row, 0));
    for (auto const& s : summaries) {
      powers += s(row, 1) == 0 ? 0 : s(row, 1) * std::exp(s(row, 0) - largest);
      total += s(row, 2);
      target += s(row, 3);
    }
    CHECK(smoothed_loss(LogitSummary<double>{largest, powers, total, target}, smoothing, 5) ==
          doctest::Approx(losses(row)).epsilon(1e-14));
  }
  for (int b = 0; b < 4; ++b) {
    auto const [begin, end] = blocks[b];
    Matrix<double> part("part", 3, static_cast<std::size_t>(end - begin));
    cross_entropy_backward<Host, double>(parts[b], targets, log_sums, part, 1.0, smoothing, {}, begin, 5);
    Kokkos::fence();
    for (int row = 0; row < 3; ++row)
      for (int j = begin; j < end; ++j) CHECK(part(row, j - begin) == gradient(row, j));
  }
}

// ---- no rows, no columns ----

TEST_CASE("kernels on empty blocks do nothing and fail nowhere") {
  for (auto const& [rows, columns] : {std::pair<std::size_t, std::size_t>{0, 5}, {3, 0}, {0, 0}}) {
    Matrix<float> const matrix("matrix", rows, columns), other("other", rows, columns),
        statistics("statistics", rows, 2);
    Vector<float> const column("column", columns), row("row", rows), second("second", rows);
    Vector<int> const ids("ids", rows);
    softmax<Host, float>(matrix, other);
    softmax_backward<Host, float>(other, matrix, other);
    layer_norm<Host, float>(matrix, column, column, other, statistics);
    layer_norm_backward<Host, float>(matrix, column, statistics, other, matrix);
    rms_norm<Host, float>(matrix, column, other, row);
    rms_norm_backward<Host, float>(matrix, column, row, other, matrix);
    embedding<Host, float>(Matrix<float>("table", 0, columns), ids, other);
    embedding_backward<Host, float>(ids, other, Matrix<float>("table", 0, columns));
    Kokkos::deep_copy(ids, -1);
    cross_entropy<Host, float>(matrix, ids, row, second);
    cross_entropy_backward<Host, float>(matrix, ids, second, other);
    Kokkos::fence();
    for (std::size_t i = 0; i < rows; ++i) CHECK(row(i) == 0.0f);
  }
  // No tokens: the sums over them are 0.
  Vector<float> gain_gradient("gain_gradient", 3), bias_gradient("bias_gradient", 3);
  Kokkos::deep_copy(gain_gradient, 1.0f);
  Kokkos::deep_copy(bias_gradient, 1.0f);
  Matrix<float> const none("none", 0, 3), statistics("statistics", 0, 2);
  layer_norm_parameters_backward<Host, float>(none, statistics, none, gain_gradient, bias_gradient);
  Kokkos::fence();
  check_near(gain_gradient, {0, 0, 0}, 0);
  check_near(bias_gradient, {0, 0, 0}, 0);
}
