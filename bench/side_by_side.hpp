// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>
#include <mpi.h>

#include <gshard/core/runtime.hpp>

/// Benchmarks on several ranks that run gshard and the calls that a program would write by hand in turn: the counter
/// vs_bare is the median time of the one over that of the other (1.00: no cost at all). Times are the slowest rank's,
/// and set by hand, so that all ranks take the same number of iterations.
namespace side_by_side {

/// Seconds of the slowest rank.
inline double timed(MPI_Comm communicator, std::function<void()> const& work) {
  MPI_Barrier(communicator);
  auto const start = std::chrono::steady_clock::now();
  work();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, communicator);
  return seconds;
}

inline double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

/// Times both in turn. `bytes` is what one rank sends to another.
inline void compare(benchmark::State& state, MPI_Comm communicator, double bytes, std::function<void()> const& ours,
                    std::function<void()> const& bare) {
  std::vector<double> our_times;
  std::vector<double> bare_times;
  for (auto _ : state) {
    bare_times.push_back(timed(communicator, bare));
    our_times.push_back(timed(communicator, ours));
    state.SetIterationTime(our_times.back());
  }
  state.counters["vs_bare"] = median(our_times) / median(bare_times);
  state.counters["bare_ms"] = 1e3 * median(bare_times);
  state.counters["bytes_per_peer"] = bytes;
}

/// Whether `fine` holds on every rank.
inline bool on_all(MPI_Comm communicator, bool fine) {
  int all = fine ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, communicator);
  return all == 1;
}

/// Runs what has been registered; rank 0 alone reports, and writes the file that the command line names.
inline void run_all(int argc, char** argv, gshard::Runtime const& runtime) {
  struct Silent : benchmark::BenchmarkReporter {
    bool ReportContext(Context const&) override { return true; }
    void ReportRuns(std::vector<Run> const&) override {}
  };
  std::vector<char*> arguments(argv, argv + argc);
  if (!runtime.is_root())
    std::erase_if(arguments, [](std::string_view argument) { return argument.starts_with("--benchmark_out"); });
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (runtime.is_root()) {
    benchmark::RunSpecifiedBenchmarks();
    return;
  }
  Silent silent;
  benchmark::RunSpecifiedBenchmarks(&silent);
}

}  // namespace side_by_side
