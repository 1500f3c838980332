// SPDX-License-Identifier: Apache-2.0
// Reshards against packing, one call of MPI and unpacking by hand, on 2 ranks: for the known pairs of specs the
// collective that fits, for all others MPI_Alltoallv. Each pair is given as a program would write it, with memory that
// it has already and the longest copies that the layouts allow.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gshard/gshard.hpp>

#include "side_by_side.hpp"

namespace {

using namespace gshard;
using Line = Mesh<Axis<"x">>;
using Grid = Mesh<Axis<"x">, Axis<"y">>;
using Index = std::int64_t;

struct Count {
  template <class Position>
  KOKKOS_FUNCTION float operator()(Position const& position) const {
    Index sum = 0;
    for (int d = 0; d < static_cast<int>(sizeof(Position) / sizeof(Index)); ++d) sum = sum * 31 + position[d];
    return static_cast<float>(sum % 1013);
  }
};

/// What a program has by hand: its block before and after, and the memory for messages.
struct Bare {
  MPI_Comm communicator;
  Index ranks;
  Index rank;
  float const* before;
  std::vector<float> after;
  std::vector<float> packed;
  std::vector<float> received;
};

using ByHand = std::function<void(Bare&)>;

/// Copies `rows` rows of `length` elements.
void copy_rows(float* to, Index to_stride, float const* from, Index from_stride, Index rows, Index length) {
  for (Index row = 0; row < rows; ++row) std::copy_n(from + row * from_stride, length, to + row * to_stride);
}

template <class Before, class To, class Mesh>
void reshard_case(benchmark::State& state, Mesh const& mesh, Extents const& extents, ByHand const& by_hand) {
  Before const before(uninitialized, mesh, extents);
  fill(before, Count{});
  auto after = reshard<To>(before);
  Group const& group = mesh.template group<"x">();
  Bare bare{group.communicator(),
            group.size,
            group.rank,
            before.data(),
            std::vector<float>(static_cast<std::size_t>(after.local_size())),
            {},
            {}};
  bare.packed.resize(static_cast<std::size_t>(before.local_size()));
  bare.received.resize(bare.after.size());
  by_hand(bare);
  bool const same = std::equal(bare.after.begin(), bare.after.end(), after.data());
  if (!side_by_side::on_all(group.communicator(), same))
    return state.SkipWithError("reshard and the hand-written form disagree");
  side_by_side::compare(
      state, group.communicator(),
      static_cast<double>(before.local_size()) * sizeof(float) / static_cast<double>(group.size),
      [&] {
        after = {};
        after = reshard<To>(before);
      },
      [&] { by_hand(bare); });
}

void exchange(Bare& bare, float const* send, float* receive, Index count) {
  MPI_Alltoall(send, static_cast<int>(count), MPI_FLOAT, receive, static_cast<int>(count), MPI_FLOAT,
               bare.communicator);
}

/// [x | _] to [_ | x] of (rows, columns): the parts of all ranks, one after the other, are the new block.
void rows_to_columns(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Index const columns = 1024 * line.ranks();
  Index const rows = state.range(0) / 4096 * line.ranks();
  reshard_case<ShardedTensor<Line, Spec<"x", _>>, Spec<_, "x">>(state, line, {rows, columns}, [=](Bare& bare) {
    Index const my_rows = rows / bare.ranks;
    Index const my_columns = columns / bare.ranks;
    for (Index peer = 0; peer < bare.ranks; ++peer)
      copy_rows(bare.packed.data() + peer * my_rows * my_columns, my_columns, bare.before + peer * my_columns, columns,
                my_rows, my_columns);
    exchange(bare, bare.packed.data(), bare.after.data(), my_rows * my_columns);
  });
}

/// [_ | x] to [x | _]: the parts lie in the old block as they are sent.
void columns_to_rows(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Index const columns = 1024 * line.ranks();
  Index const rows = state.range(0) / 4096 * line.ranks();
  reshard_case<ShardedTensor<Line, Spec<_, "x">>, Spec<"x", _>>(state, line, {rows, columns}, [=](Bare& bare) {
    Index const my_rows = rows / bare.ranks;
    Index const my_columns = columns / bare.ranks;
    exchange(bare, bare.before, bare.received.data(), my_rows * my_columns);
    for (Index peer = 0; peer < bare.ranks; ++peer)
      copy_rows(bare.after.data() + peer * my_columns, columns, bare.received.data() + peer * my_rows * my_columns,
                my_columns, my_rows, my_columns);
  });
}

/// [x | _ | _ | _] to [_ | x | _ | _] of (E, G, C, M): what a mixture of experts does. One dispatch is of 64 MiB.
void first_to_second(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Index const rest = state.range(0) * line.ranks() / 4 / (32 * 64);
  Extents const extents{32 * line.ranks(), 64, rest / 16, 16};
  reshard_case<ShardedTensor<Line, Spec<"x", _, _, _>>, Spec<_, "x", _, _>>(state, line, extents, [=](Bare& bare) {
    Index const experts = extents[0] / bare.ranks;
    Index const row = 64 * rest;
    Index const part = row / bare.ranks;
    for (Index peer = 0; peer < bare.ranks; ++peer)
      copy_rows(bare.packed.data() + peer * experts * part, part, bare.before + peer * part, row, experts, part);
    exchange(bare, bare.packed.data(), bare.after.data(), experts * part);
  });
}

/// [_ | x | _ | _] to [x | _ | _ | _]: the way back.
void second_to_first(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Index const rest = state.range(0) * line.ranks() / 4 / (32 * 64);
  Extents const extents{32 * line.ranks(), 64, rest / 16, 16};
  reshard_case<ShardedTensor<Line, Spec<_, "x", _, _>>, Spec<"x", _, _, _>>(state, line, extents, [=](Bare& bare) {
    Index const experts = extents[0] / bare.ranks;
    Index const row = 64 * rest;
    Index const part = row / bare.ranks;
    exchange(bare, bare.before, bare.received.data(), experts * part);
    for (Index peer = 0; peer < bare.ranks; ++peer)
      copy_rows(bare.after.data() + peer * part, row, bare.received.data() + peer * experts * part, part, experts,
                part);
  });
}

/// [_ | x | _] to [_ | _ | x] of (a, b, c): both sides are strided.
void inner_to_inner(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Index const a = 8;
  Index const b = state.range(0) / 4 / a / 512 * line.ranks();
  Index const c = 512 * line.ranks();
  reshard_case<ShardedTensor<Line, Spec<_, "x", _>>, Spec<_, _, "x">>(state, line, {a, b, c}, [=](Bare& bare) {
    Index const my_b = b / bare.ranks;
    Index const my_c = c / bare.ranks;
    Index const part = a * my_b * my_c;
    for (Index peer = 0; peer < bare.ranks; ++peer)
      copy_rows(bare.packed.data() + peer * part, my_c, bare.before + peer * my_c, c, a * my_b, my_c);
    exchange(bare, bare.packed.data(), bare.received.data(), part);
    for (Index peer = 0; peer < bare.ranks; ++peer)
      copy_rows(bare.after.data() + peer * my_b * my_c, b * my_c, bare.received.data() + peer * part, my_b * my_c, a,
                my_b * my_c);
  });
}

/// [_ | x] to [_ | _]: one all-gather.
void gather_columns(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Index const columns = 1024 * line.ranks();
  Index const rows = state.range(0) / 4096;
  reshard_case<ShardedTensor<Line, Spec<_, "x">>, Spec<_, _>>(state, line, {rows, columns}, [=](Bare& bare) {
    Index const my_columns = columns / bare.ranks;
    int const part = static_cast<int>(rows * my_columns);
    MPI_Allgather(bare.before, part, MPI_FLOAT, bare.received.data(), part, MPI_FLOAT, bare.communicator);
    for (Index peer = 0; peer < bare.ranks; ++peer)
      copy_rows(bare.after.data() + peer * my_columns, columns, bare.received.data() + peer * part, my_columns, rows,
                my_columns);
  });
}

/// [_ | _ | partial x] to [_ | x]: one reduce-scatter.
void scatter_columns(benchmark::State& state, Runtime& runtime) {
  Line const line(runtime, {runtime.size()});
  Index const columns = 1024 * line.ranks();
  Index const rows = state.range(0) / 4096;
  reshard_case<ShardedTensor<Line, Spec<_, _, partial("x")>>, Spec<_, "x">>(
      state, line, {rows, columns}, [=](Bare& bare) {
        Index const my_columns = columns / bare.ranks;
        int const part = static_cast<int>(rows * my_columns);
        for (Index peer = 0; peer < bare.ranks; ++peer)
          copy_rows(bare.packed.data() + peer * part, my_columns, bare.before + peer * my_columns, columns, rows,
                    my_columns);
        std::vector<int> const parts(static_cast<std::size_t>(bare.ranks), part);
        MPI_Reduce_scatter(bare.packed.data(), bare.after.data(), parts.data(), MPI_FLOAT, MPI_SUM, bare.communicator);
      });
}

/// [x | y | _] to [y | _ | x] on a mesh of (p, 1): no known pair, so the general exchange; uneven, so MPI_Alltoallv.
void general(benchmark::State& state, Runtime& runtime) {
  Grid const grid(runtime, {runtime.size(), 1});
  Index const c = 1023;
  Index const b = 9;
  Index const a = state.range(0) / 4 / (b * (c / 2)) * grid.ranks() + 1;
  reshard_case<ShardedTensor<Grid, Spec<"x", "y", _>>, Spec<"y", _, "x">>(state, grid, {a, b, c}, [=](Bare& bare) {
    std::vector<int> sent, sent_at, received, received_at;
    Index const my_a = shard_range(a, bare.ranks, bare.rank).size();
    Index const my_c = shard_range(c, bare.ranks, bare.rank).size();
    Index at = 0;
    for (Index peer = 0; peer < bare.ranks; ++peer) {
      Range const columns = shard_range(c, bare.ranks, peer);
      copy_rows(bare.packed.data() + at, columns.size(), bare.before + columns.begin, c, my_a * b, columns.size());
      sent.push_back(static_cast<int>(my_a * b * columns.size()));
      sent_at.push_back(static_cast<int>(at));
      at += sent.back();
      Range const rows = shard_range(a, bare.ranks, peer);
      received.push_back(static_cast<int>(rows.size() * b * my_c));
      received_at.push_back(static_cast<int>(rows.begin * b * my_c));
    }
    MPI_Alltoallv(bare.packed.data(), sent.data(), sent_at.data(), MPI_FLOAT, bare.after.data(), received.data(),
                  received_at.data(), MPI_FLOAT, bare.communicator);
  });
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](Runtime& runtime) {
    struct Case {
      char const* name;
      void (*work)(benchmark::State&, Runtime&);
    };
    for (auto const& [name, work] :
         {Case{"rows_to_columns", &rows_to_columns}, Case{"columns_to_rows", &columns_to_rows},
          Case{"first_to_second", &first_to_second}, Case{"second_to_first", &second_to_first},
          Case{"inner_to_inner", &inner_to_inner}, Case{"gather_columns", &gather_columns},
          Case{"scatter_columns", &scatter_columns}, Case{"general", &general}})
      benchmark::RegisterBenchmark(name, [work = work, &runtime](benchmark::State& state) { work(state, runtime); })
          ->Arg(64 << 10)
          ->Arg(4 << 20)
          ->Arg(16 << 20)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    side_by_side::run_all(argc, argv, runtime);
  });
}
