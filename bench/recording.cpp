// SPDX-License-Identifier: Apache-2.0
// Host time of operations and of their recording, on tensors so small that kernels take next to nothing: one rank, one
// thread, blocks of 2 x 2. Each case runs a step of 200 operations. Counters, in nanoseconds per operation, medians:
//   plain      the operation on plain tensors
//   release    destruction of its result
//   recorded   the operation on recorded tensors, with the construction of the tape
//   backward   its vjp, the sums of its gradients, and the destruction of tape and results
//   recording  recorded - plain
//   launches   kernels that Kokkos launches for the plain operation; kernels of small blocks run without a launch
//   planning   plain + release - the time of these launches: checks, plan, allocation, and the kernels themselves
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include <gshard/gshard.hpp>

#include "side_by_side.hpp"

namespace {

using namespace gshard;
using side_by_side::median;
using Line = Mesh<Axis<"data">>;
template <AxisNames... Entries>
using On = ShardedTensor<Line, Spec<Entries...>, float>;

/// Operations of a step: as many as a Transformer of a few blocks records.
constexpr int operations = 200;

double nanoseconds(auto const& work) {
  auto const start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

/// A kernel of four elements, launched as gshard launches one.
struct Bare {
  float* data;
  KOKKOS_FUNCTION void operator()(std::int64_t) const {
    for (int i = 0; i < 4; ++i) data[i] += 1;
  }
};

void launch_bare(float* data) { Kokkos::parallel_for("bare", Kokkos::RangePolicy<>(0, 1), Bare{data}); }

/// Nanoseconds of one launch.
double launch_time(Line const& line) {
  On<_> const x(line, {4});
  std::vector<double> times;
  for (int i = 0; i < 100; ++i)
    times.push_back(nanoseconds([&] {
                      for (int j = 0; j < operations; ++j) launch_bare(x.data());
                    }) /
                    operations);
  return median(times);
}

/// The operands of a case: tensors or recorded tensors.
template <class Matrix, class Weights, class Gain, class Heads>
struct Operands {
  Matrix x, y;  // (2, 2), split
  Weights w;    // (2, 2), the same on every rank
  Gain g;       // (2), the same on every rank
  Heads q, k;   // (2, 2, 2, 2), split
};
template <class Matrix, class Weights, class Gain, class Heads>
Operands(Matrix, Matrix, Weights, Gain, Heads, Heads) -> Operands<Matrix, Weights, Gain, Heads>;

/// Runs a step and returns what it computes. The result of an operation is x of the next one, where the types agree.
template <class Case, class Inputs>
auto run_step(Case const& operation, Inputs inputs) {
  using Result = std::remove_cvref_t<decltype(operation(inputs))>;
  std::vector<Result> results;
  results.reserve(operations);
  for (int i = 0; i < operations; ++i) {
    results.push_back(operation(inputs));
    if constexpr (std::is_same_v<Result, decltype(inputs.x)>) inputs.x = results.back();
  }
  return results;
}

/// Gives the gradients that start a backward pass: to the last result, if the others lead to it, else to all.
template <bool IsChain, class Result>
void seed(Tape& tape, std::vector<Result> const& results) {
  using Tensor = typename Result::tensor_type;
  Cotangent<Tensor> const one(results[0].value().mesh(), results[0].value().extents());
  for (auto const& result : results)
    if (!IsChain || &result == &results.back()) tape.accumulate<Tensor>(result.node(), one);
}

int launches = 0;

/// Counts the launches of `work`.
int launches_of(auto const& work) {
  Kokkos::Tools::Experimental::EventSet const before = Kokkos::Tools::Experimental::get_callbacks();
  launches = 0;
  auto const count = [](char const*, std::uint32_t, std::uint64_t*) { ++launches; };
  Kokkos::Tools::Experimental::set_begin_parallel_for_callback(count);
  Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(count);
  Kokkos::Tools::Experimental::set_begin_parallel_scan_callback(count);
  work();
  Kokkos::Tools::Experimental::set_callbacks(before);
  return launches;
}

/// The parameters of which all cases take some.
struct Parameters {
  Parameter<On<"data", _>> x, y;
  Parameter<On<_, _>> w;
  Parameter<On<_>> g;
  Parameter<On<"data", _, _, _>> q, k;

  explicit Parameters(Line const& line) {
    Extents const four{2, 2, 2, 2};
    x.value = y.value = On<"data", _>(line, {2, 2});
    w.value = On<_, _>(line, {2, 2});
    g.value = On<_>(line, {2});
    q.value = k.value = On<"data", _, _, _>(line, four);
  }

  auto plain() const { return Operands{x.value, y.value, w.value, g.value, q.value, k.value}; }
  auto on(Tape& tape) {
    return Operands{tape.watch(x), tape.watch(y), tape.watch(w), tape.watch(g), tape.watch(q), tape.watch(k)};
  }
};

template <class Case>
void measure(benchmark::State& state, Line const& line, Case const& operation) {
  Parameters parameters(line);
  std::vector<double> plain;
  std::vector<double> release;
  std::vector<double> recorded;
  std::vector<double> backward;
  for ([[maybe_unused]] auto iteration : state) {
    {
      decltype(run_step(operation, parameters.plain())) results;
      plain.push_back(nanoseconds([&] { results = run_step(operation, parameters.plain()); }) / operations);
      release.push_back(nanoseconds([&] { results.clear(); }) / operations);
    }
    std::optional<Tape> tape;
    decltype(run_step(operation, parameters.on(*tape))) results;
    recorded.push_back(nanoseconds([&] {
                         tape.emplace();
                         results = run_step(operation, parameters.on(*tape));
                       }) /
                       operations);
    backward.push_back(nanoseconds([&] {
                         constexpr bool is_chain =
                             std::is_same_v<typename decltype(results)::value_type, Var<On<"data", _>>>;
                         seed<is_chain>(*tape, results);
                         results.clear();
                         tape->backward();
                         tape.reset();
                       }) /
                       operations);
    state.SetIterationTime((recorded.back() + backward.back()) * operations * 1e-9);
  }
  int const launched = launches_of([&] { run_step(operation, parameters.plain()); }) / operations;
  state.counters["plain"] = median(plain);
  state.counters["release"] = median(release);
  state.counters["recorded"] = median(recorded);
  state.counters["backward"] = median(backward);
  state.counters["recording"] = median(recorded) - median(plain);
  state.counters["launches"] = launched;
  state.counters["planning"] = median(plain) + median(release) - launched * launch_time(line);
}

/// y[i, j] = x[i, j] * s[j], by kernels of its own: an operation as users write them.
template <class Matrix, class Vector>
struct ScaleKernel {
  Matrix x, y;
  Vector s;
  KOKKOS_FUNCTION void operator()(int i) const {
    for (int j = 0; j < x.extent_int(1); ++j) y(i, j) = x(i, j) * s(j);
  }
};

template <class Matrix, class Vector>
struct ScaleGradientKernel {
  Matrix x, dy;
  Vector part;
  KOKKOS_FUNCTION void operator()(int j) const {
    float sum = 0;
    for (int i = 0; i < x.extent_int(0); ++i) sum += x(i, j) * dy(i, j);
    part(j) = sum;
  }
};

struct ScaleColumns {
  template <AnyTensor X, AnyTensor S>
  auto forward(X const& x, S const& s) const {
    if (x.extent(1) != s.extent(0)) throw ExtentError("scale_columns: x and s differ in the number of columns");
    return scaled(x, s);
  }

  template <int Operand>
  static constexpr Reads reads = Reads::operand(1 - Operand);

  void vjp(auto const& saved, auto const& dy, auto const& gradients) const {
    auto const& [x, s] = saved.operands;
    auto const& [dx, ds] = gradients;
    dx.add(scaled(dy, s));
    auto const part = ds.empty_part(dy, s.extents());
    Kokkos::parallel_for("scale_columns, gradient of s", Kokkos::RangePolicy<>(0, x.local_extent(1)),
                         ScaleGradientKernel{x.local(), dy.local(), part.local()});
    ds.add_part(part);
  }

 private:
  template <AnyTensor X, AnyTensor S>
  static X scaled(X const& x, S const& s) {
    X const y(uninitialized, x.mesh(), x.extents());
    Kokkos::parallel_for("scale_columns", Kokkos::RangePolicy<>(0, x.local_extent(0)),
                         ScaleKernel{x.local(), y.local(), s.local()});
    return y;
  }
};
inline constexpr Differentiable<ScaleColumns> scale_columns;

void add_cases(Line const& line) {
  auto add = [&](char const* name, auto const& work) {
    benchmark::RegisterBenchmark(name, [&line, work](benchmark::State& state) { measure(state, line, work); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond)
        ->Iterations(200);
  };
  add("relu", [](auto const& of) { return eval(relu(of.x)); });
  add("add", [](auto const& of) { return eval(of.x + of.y); });
  add("multiply", [](auto const& of) { return eval(of.x * of.y); });
  add("add_bias", [](auto const& of) { return eval(of.x + of.g); });
  add("einsum", [](auto const& of) { return eval(einsum<"ab,bc->ac">(of.x, of.w)); });
  add("einsum_scores", [](auto const& of) { return eval(einsum<"nlhd,nkhd->nhlk">(of.q, of.k)); });
  add("einsum_permuted", [](auto const& of) { return eval(einsum<"gsec,gsmd->egcmd">(of.q, of.k)); });
  add("sum", [](auto const& of) { return eval(sum<1>(of.x)); });
  add("softmax", [](auto const& of) { return softmax<1>(of.x); });
  add("rms_norm", [](auto const& of) { return nn::rms_norm(of.x, of.g); });
  add("scale_columns", [](auto const& of) { return scale_columns(of.x, of.g); });
  add("reshard", [](auto const& of) { return reshard<Spec<_, "data">>(of.x); });
}

/// What every operation needs: one launch, and one block of the pool.
void add_baselines(Line const& line) {
  auto add = [](char const* name, auto const& work) {
    benchmark::RegisterBenchmark(name, [work](benchmark::State& state) {
      for ([[maybe_unused]] auto iteration : state) work();
    });
  };
  On<_> const x(line, {4});
  add("bare_launch", [x] { launch_bare(x.data()); });
  add("bare_allocation",
      [&pool = line.memory()] { benchmark::DoNotOptimize(pool.allocate<On<_>::memory_space>(4 * sizeof(float))); });
  add("bare_tensor", [line] { benchmark::DoNotOptimize(On<"data", _>(uninitialized, line, Extents{2, 2})); });
}

}  // namespace

int main(int argc, char** argv) {
  return gshard::run(argc, argv, [&](gshard::Runtime& runtime) {
    Line const line(runtime, {runtime.size()});
    benchmark::Initialize(&argc, argv);
    add_baselines(line);
    add_cases(line);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::ClearRegisteredBenchmarks();
    benchmark::Shutdown();
  });
}
