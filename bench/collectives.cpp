// SPDX-License-Identifier: Apache-2.0
// Collectives against bare MPI on the same bytes, on 2 ranks.
#include <cstdint>
#include <vector>

#include <gshard/gshard.hpp>

#include "side_by_side.hpp"

namespace {

using namespace gshard;
using Line = Mesh<Axis<"x">>;

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
    MPI_Alltoall(send.data(), static_cast<int>(count), MPI_FLOAT, bare.data(), static_cast<int>(count), MPI_FLOAT,
                 group.communicator());
  };
  run_ours();
  run_bare();
  if (!side_by_side::on_all(group.communicator(), ours == bare))
    return state.SkipWithError("all_to_all and MPI_Alltoall disagree");
  side_by_side::compare(state, group.communicator(), static_cast<double>(state.range(0)), run_ours, run_bare);
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](Runtime& runtime) {
    benchmark::RegisterBenchmark("all_to_all", [&](benchmark::State& state) { all_to_all(state, runtime); })
        ->Arg(64 << 10)
        ->Arg(1 << 20)
        ->Arg(8 << 20)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
    side_by_side::run_all(argc, argv, runtime);
  });
}
