// SPDX-License-Identifier: Apache-2.0
// One Mixture-of-Experts layer, forward and backward, on 2 ranks of which the first alone runs what is of one rank:
// d_model 512, d_hidden 2048, groups of 1024 tokens. Counters: the median time of a form over that of another, the
// share of the expert GEMMs, and the throughput of 2 ranks over twice that of one.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include <gshard/gshard.hpp>

#include "side_by_side.hpp"

namespace {

using namespace gshard;
using nn::DispatchForm;
using Line = Mesh<Axis<"expert">>;

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "expert", experts = "expert";
};

struct Always : nn::Top2Gate {  // no work is left to chance
  static constexpr auto second_choice = nn::SecondChoice::always;
};

using Layer = nn::MixtureOfExperts<Line, ByExpert, Always>;
using Tokens = ShardedTensor<Line, Spec<"expert", _, _>>;

constexpr std::int64_t S = 1024, M = 512, H = 2048;

struct Wave {
  template <class Index>
  KOKKOS_FUNCTION float operator()(Index const& index) const {
    return Kokkos::sin(static_cast<float>(1 + 31 * index[0] + 7 * index[1] % 1009 + 3 * index[2]));
  }
};

/// A layer and its tokens, on the ranks of a runtime.
struct Step {
  Line line;
  nn::Initializer initializer{1};
  Layer layer;
  Tokens x;
  ShardedTensor<Line, Spec<"expert", _>, int> real;

  Step(Runtime& runtime, std::int64_t groups, std::int64_t experts)
      : line(runtime, {runtime.size()}),
        layer(line, initializer, {.experts = experts, .model = M, .hidden = H}),
        x(line, {groups, S, M}),
        real(line, {groups, S}) {
    fill(x, Wave{});
    Kokkos::deep_copy(real.local(), 1);
  }

  template <DispatchForm Form>
  void run() {
    Tape tape;
    auto const result = layer.operator()<Form>(tape.watch(x), real, nn::RandomStream{1, 2});
    tape.backward(eval(mean(result.output * result.output) + result.balance_loss));
    layer.for_each_parameter([](auto& parameter) { parameter.clear_gradient(); });
  }
};

/// The matrix products of the experts, forward and backward, as calls of the matrix library: (rows, M) times (M, H) and
/// back, for each expert.
struct ExpertProducts {
  std::int64_t experts;
  std::int64_t rows;
  std::vector<float> slots = std::vector<float>(static_cast<std::size_t>(experts * rows * M), 1);
  std::vector<float> hidden = std::vector<float>(static_cast<std::size_t>(experts * rows * H), 1);
  std::vector<float> wi = std::vector<float>(static_cast<std::size_t>(experts * M * H), 1);
  std::vector<float> wo = wi;

  static void multiply(std::int64_t m, std::int64_t n, std::int64_t k, float const* a, bool a_transposed,
                       float const* b, bool b_transposed, float* c) {
    GemmBatch<float> one;
    one.m = m;
    one.n = n;
    one.k = k;
    one.a = a;
    one.a_row = a_transposed ? 1 : k;
    one.a_column = a_transposed ? m : 1;
    one.b = b;
    one.b_row = b_transposed ? 1 : n;
    one.b_column = b_transposed ? k : 1;
    one.c = c;
    one.c_row = n;
    LocalGemm<Kokkos::HostSpace, float>::run(one);
  }

  void run() {
    for (std::int64_t e = 0; e < experts; ++e) {
      float* const x = slots.data() + e * rows * M;
      float* const h = hidden.data() + e * rows * H;
      float* const in = wi.data() + e * M * H;
      float* const out = wo.data() + e * M * H;
      multiply(rows, H, M, x, false, in, false, h);
      multiply(rows, M, H, h, false, out, false, x);
      multiply(rows, H, M, x, false, out, true, h);
      multiply(H, M, rows, h, true, x, false, out);
      multiply(rows, M, H, h, false, in, true, x);
      multiply(M, H, rows, x, true, h, false, in);
    }
  }
};

/// What the first rank does while the others wait.
std::function<void()> on_first(Runtime const& runtime, std::function<void()> const& work) {
  return runtime.is_root() ? work : [] {};
}

void one_hot_over_index(benchmark::State& state, Runtime& runtime) {
  Runtime alone(MPI_COMM_SELF);
  Step step(alone, state.range(0), 8);
  side_by_side::compare(state, runtime.communicator(), 0,
                        on_first(runtime, [&] { step.run<DispatchForm::by_one_hot>(); }),
                        on_first(runtime, [&] { step.run<DispatchForm::by_index>(); }));
}

void ragged_over_index(benchmark::State& state, Runtime& runtime) {
  Runtime alone(MPI_COMM_SELF);
  Step step(alone, state.range(0), 8);
  side_by_side::compare(state, runtime.communicator(), 0, on_first(runtime, [&] { step.run<DispatchForm::ragged>(); }),
                        on_first(runtime, [&] { step.run<DispatchForm::by_index>(); }));
}

/// Tokens to slots and back, by the one-hot tensors and by index.
void movement_one_hot_over_index(benchmark::State& state, Runtime& runtime) {
  Runtime alone(MPI_COMM_SELF);
  Step step(alone, state.range(0), 8);
  auto const gates = eval(softmax<-1>(eval(einsum<"gsm,me->gse">(step.x, step.layer.gate.value))));
  using Gates = std::remove_const_t<decltype(gates)>;
  nn::Routing<Gates, Always> const routing(gates, step.real, step.layer.options.gate, nn::RandomStream{1, 2});
  auto backward = [](Tape& tape, auto const& output) { tape.backward(output, output.value()); };
  side_by_side::compare(state, runtime.communicator(), 0,
                        on_first(runtime,
                                 [&] {
                                   Tape tape;
                                   auto const x = tape.watch(step.x);
                                   auto const one_hot = nn::one_hot_routes(tape.watch(routing.weight), routing);
                                   auto const slots = eval(einsum<"gsec,gsm->egcm">(one_hot.mask, x));
                                   backward(tape, eval(einsum<"gsec,egcm->gsm">(one_hot.combine, slots)));
                                 }),
                        on_first(runtime, [&] {
                          Tape tape;
                          auto const x = tape.watch(step.x);
                          backward(tape, nn::combine(nn::dispatch(x, routing), tape.watch(routing.weight), routing));
                        }));
}

/// vs_bare is the inverse of the share of the time that the products of the experts take.
void layer_over_its_products(benchmark::State& state, Runtime& runtime) {
  Runtime alone(MPI_COMM_SELF);
  Step step(alone, state.range(0), 8);
  ExpertProducts products{8, 2 * state.range(0) * S / 8};
  side_by_side::compare(state, runtime.communicator(), 0,
                        on_first(runtime, [&] { step.run<DispatchForm::by_index>(); }),
                        on_first(runtime, [&] { products.run(); }));
  state.counters["share_of_products"] = 1 / state.counters["vs_bare"];
}

void experts_512_over_8(benchmark::State& state, Runtime& runtime) {
  Runtime alone(MPI_COMM_SELF);
  std::optional<Step> many;
  std::optional<Step> few;
  if (runtime.is_root()) {
    many.emplace(alone, state.range(0), 512);
    few.emplace(alone, state.range(0), 8);
    many->run<DispatchForm::by_index>();  // the pool takes its memory here, and pages are touched
    few->run<DispatchForm::by_index>();
  }
  side_by_side::compare(state, runtime.communicator(), 0,
                        on_first(runtime, [&] { many->run<DispatchForm::by_index>(); }),
                        on_first(runtime, [&] { few->run<DispatchForm::by_index>(); }));
}

/// The same tokens a rank on all ranks and on one: vs_bare is 1 over the efficiency.
void two_ranks_over_one(benchmark::State& state, Runtime& runtime) {
  Runtime alone(MPI_COMM_SELF);
  Step together(runtime, state.range(0) * runtime.size(), 8);
  Step single(alone, state.range(0), 8);
  side_by_side::compare(
      state, runtime.communicator(), 0, [&] { together.run<DispatchForm::by_index>(); },
      on_first(runtime, [&] { single.run<DispatchForm::by_index>(); }));
  state.counters["efficiency"] = 1 / state.counters["vs_bare"];
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](Runtime& runtime) {
    auto add = [&](char const* name, void (*work)(benchmark::State&, Runtime&), std::vector<std::int64_t> const& groups,
                   int iterations = 7) {
      auto* const entry =
          benchmark::RegisterBenchmark(name, [work, &runtime](benchmark::State& state) { work(state, runtime); });
      for (std::int64_t count : groups) entry->Arg(count);
      entry->Iterations(iterations)->UseManualTime()->Unit(benchmark::kMillisecond);
    };
    add("mixture/one_hot_over_index", &one_hot_over_index, {1, 4});
    add("mixture/movement_one_hot_over_index", &movement_one_hot_over_index, {1, 4});
    add("mixture/ragged_over_index", &ragged_over_index, {1, 4});
    add("mixture/layer_over_its_products", &layer_over_its_products, {1, 4});
    add("mixture/experts_512_over_8", &experts_512_over_8, {16}, 3);
    add("mixture/two_ranks_over_one", &two_ranks_over_one, {1, 4});
    side_by_side::run_all(argc, argv, runtime);
  });
}
