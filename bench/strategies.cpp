// SPDX-License-Identifier: Apache-2.0
// Rings against the collectives that they stand for, on 2 ranks: the counter vs_bare is the median time of
// `in_ring` over that of the all-gather and one product, or of one product and the reduce-scatter. What a ring
// saves is memory: the largest temporary of both is a counter, in bytes.
#include <cstdint>
#include <cstdlib>

#include <benchmark/benchmark.h>

#include <gshard/gshard.hpp>

#include "side_by_side.hpp"

namespace {

using namespace gshard;
using Line = Mesh<Axis<"x">>;
template <AxisNames... Entries>
using On = ShardedTensor<Line, Spec<Entries...>, float>;

/// Small integers, so that sums are exact in any order.
struct Small {
  template <class Index>
  KOKKOS_FUNCTION float operator()(Index const& index) const {
    return static_cast<float>((index[0] * 31 + index[1] * 7) % 5 - 2);
  }
};

template <class Tensor>
Tensor filled(Line const& line, std::int64_t rows, std::int64_t columns) {
  Tensor const tensor(line, {rows, columns});
  fill(tensor, Small{});
  return tensor;
}

template <class Tensor>
bool same_elements(Tensor const& left, Tensor const& right) {
  return maximum(square(left - right)) == 0;
}

/// Fully sharded weights: n x n activations by row, weights by row.
void gathered_weights(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  std::int64_t const n = state.range(0);
  auto const x = filled<On<"x", _>>(line, n, n);
  auto const w = filled<On<"x", _>>(line, n, n);
  On<"x", _> const ring(line, {n, n});
  On<"x", _> const bare(line, {n, n});
  auto run_ring = [&] { assign(ring, einsum<"ab,bc->ac">(x, in_ring(w))); };
  auto run_bare = [&] { assign(bare, einsum<"ab,bc->ac">(x, gathered(w))); };
  run_ring();
  run_bare();
  if (!same_elements(ring, bare)) return state.SkipWithError("ring and all-gather disagree");
  auto const& group = line.group<"x">();
  side_by_side::compare(state, group.communicator(), static_cast<double>(w.local_size()) * sizeof(float), run_ring,
                        run_bare);
  state.counters["ring_temporary"] = static_cast<double>(explain<"ab,bc->ac">(x, in_ring(w), ring).largest_temporary);
  state.counters["bare_temporary"] = static_cast<double>(explain<"ab,bc->ac">(x, gathered(w), bare).largest_temporary);
}

/// The gradient of such weights: a sum over split rows, scattered.
void scattered_sums(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  std::int64_t const n = state.range(0);
  auto const x = filled<On<"x", _>>(line, n, n);
  auto const dy = filled<On<"x", _>>(line, n, n);
  On<"x", _> const ring(line, {n, n});
  On<"x", _> const bare(line, {n, n});
  auto run_ring = [&] { assign(ring, in_ring(einsum<"ab,ac->bc">(x, dy))); };
  auto run_bare = [&] { assign(bare, einsum<"ab,ac->bc">(x, dy)); };
  run_ring();
  run_bare();
  if (!same_elements(ring, bare)) return state.SkipWithError("ring and reduce-scatter disagree");
  auto const& group = line.group<"x">();
  side_by_side::compare(state, group.communicator(), static_cast<double>(ring.local_size()) * sizeof(float), run_ring,
                        run_bare);
  state.counters["ring_temporary"] = static_cast<double>(explain<"ab,ac->bc">(x, dy, in_ring(ring)).largest_temporary);
  state.counters["bare_temporary"] = static_cast<double>(explain<"ab,ac->bc">(x, dy, bare).largest_temporary);
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](Runtime& runtime) {
    for (auto const& [name, work] :
         {std::pair{"ring/gathered_weights", &gathered_weights}, std::pair{"ring/scattered_sums", &scattered_sums}})
      benchmark::RegisterBenchmark(name, [work = work, &runtime](benchmark::State& state) { work(state, runtime); })
          ->Arg(256)
          ->Arg(1024)
          ->Arg(2048)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    side_by_side::run_all(argc, argv, runtime);
  });
}
