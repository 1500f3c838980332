// SPDX-License-Identifier: Apache-2.0
// Collectives and reshards against bare MPI on the same bytes, on 2 ranks: the counter vs_bare is the median time of gshard over that of the calls that a
// program would write by hand (1.00: no cost at all). Times are the slowest rank's; results are compared before they are timed.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <mpi.h>

#include <gshard/gshard.hpp>

namespace {

using namespace gshard;
using Line = Mesh<Axis<"x">>;

/// Seconds of the slowest rank.
double timed(MPI_Comm communicator, std::function<void()> const& work) {
  MPI_Barrier(communicator);
  auto const start = std::chrono::steady_clock::now();
  work();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, communicator);
  return seconds;
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

/// Times both in turn; manual time, so that all ranks take the same number of iterations.
void compare(benchmark::State& state, MPI_Comm communicator, double bytes, std::function<void()> const& ours, std::function<void()> const& bare) {
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

struct Count {
  template <class Index>
  KOKKOS_FUNCTION float operator()(Index const& index) const {
    return static_cast<float>((index[0] * 31 + index[1] * 7) % 1013);
  }
};

/// comm::all_to_all against MPI_Alltoall.
void all_to_all(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Group const& group = line.group<"x">();
  std::int64_t const count = state.range(0) / static_cast<std::int64_t>(sizeof(float));
  std::vector<float> send(static_cast<std::size_t>(count * group.size));
  for (std::size_t i = 0; i < send.size(); ++i) send[i] = static_cast<float>(i % 1013) + static_cast<float>(group.rank);
  std::vector<float> ours(send.size());
  std::vector<float> bare(send.size());
  comm::Parts const parts(std::vector<std::int64_t>(static_cast<std::size_t>(group.size), count));
  auto run_ours = [&] { comm::all_to_all(group, send.data(), parts, ours.data(), parts, count * group.size); };
  auto run_bare = [&] {
    MPI_Alltoall(send.data(), static_cast<int>(count), MPI_FLOAT, bare.data(), static_cast<int>(count), MPI_FLOAT, group.communicator);
  };
  run_ours();
  run_bare();
  if (ours != bare) return state.SkipWithError("all_to_all and MPI_Alltoall disagree");
  compare(state, group.communicator, static_cast<double>(state.range(0)), run_ours, run_bare);
}

/// reshard of a matrix from rows to columns against packing, MPI_Alltoall and unpacking by hand.
void rows_to_columns(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Group const& group = line.group<"x">();
  std::int64_t const ranks = group.size;
  std::int64_t const columns = 1024 * ranks;
  std::int64_t const rows = ranks * (state.range(0) / static_cast<std::int64_t>(sizeof(float)) / 1024);
  ShardedTensor<Line, Spec<"x", _>> const before(line, {rows, columns});
  fill(before, Count{});
  auto after = reshard<Spec<_, "x">>(before);

  std::int64_t const my_rows = rows / ranks;
  std::int64_t const my_columns = columns / ranks;
  std::vector<float> packed(static_cast<std::size_t>(before.local_size()));
  std::vector<float> received(packed.size());
  auto run_bare = [&] {
    for (std::int64_t peer = 0; peer < ranks; ++peer)
      for (std::int64_t row = 0; row < my_rows; ++row)
        std::copy_n(before.data() + row * columns + peer * my_columns, my_columns, packed.data() + (peer * my_rows + row) * my_columns);
    // The parts of all ranks, one after the other, are the new block already: nothing to unpack.
    MPI_Alltoall(packed.data(), static_cast<int>(my_rows * my_columns), MPI_FLOAT, received.data(), static_cast<int>(my_rows * my_columns), MPI_FLOAT,
                 group.communicator);
  };
  auto run_ours = [&] { after = reshard<Spec<_, "x">>(before); };
  run_bare();
  run_ours();
  if (!std::equal(received.begin(), received.end(), after.data())) return state.SkipWithError("reshard and the hand-written exchange disagree");
  compare(state, group.communicator, static_cast<double>(state.range(0)), run_ours, run_bare);
}

/// Rank 0 alone reports.
class Silent : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(Context const&) override { return true; }
  void ReportRuns(std::vector<Run> const&) override {}
};

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](Runtime& runtime) {
    std::vector<char*> arguments(argv, argv + argc);
    // Only the rank that reports writes a file.
    if (!runtime.is_root()) std::erase_if(arguments, [](std::string_view argument) { return argument.starts_with("--benchmark_out"); });
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    for (auto const& [name, work] : {std::pair{"all_to_all", &all_to_all}, std::pair{"reshard/rows_to_columns", &rows_to_columns}})
      benchmark::RegisterBenchmark(name, [work = work, &runtime](benchmark::State& state) { work(state, runtime); })
          ->Arg(64 << 10)
          ->Arg(1 << 20)
          ->Arg(8 << 20)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    if (runtime.is_root()) benchmark::RunSpecifiedBenchmarks();
    else {
      Silent silent;
      benchmark::RunSpecifiedBenchmarks(&silent);
    }
  });
}
