// SPDX-License-Identifier: Apache-2.0
// One Mixture-of-Experts layer, forward and backward, and what it sends. Run it on 4 ranks: mpirun -n 4 moe_layer
#include <iomanip>
#include <iostream>

#include <gshard/gshard.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"expert">>;

struct ByExpert : nn::Parallelism {  // groups of tokens over all ranks, experts over the rows of the mesh
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};

// Algorithm 1 of the paper. A variant says what differs, as in: static constexpr auto normalise = nn::Normalise::never;
struct Gate : nn::Top2Gate {};

// Or ReluExperts, or any class template like them.
using Layer = nn::MixtureOfExperts<Grid, ByExpert, Gate, nn::GatedExperts>;
using Tokens = ShardedTensor<Grid, Spec<"data,expert", _, _>>;

// Groups, tokens of a group, width of the model, experts, width inside an expert
constexpr int G = 8, S = 64, M = 32, E = 8, H = 128;

struct Wave {
  template <class Index>
  KOKKOS_FUNCTION float operator()(Index const& index) const {
    return Kokkos::sin(static_cast<float>(1 + 5 * index[0] + 3 * index[1] + 7 * index[2]));
  }
};

/// What one pass sent, and whether it is what the types say: two all-to-alls, no all-gather.
bool print_plan(Runtime const& runtime, char const* pass) {
  Ledger const& ledger = runtime.ledger();
  bool const as_planned = ledger.calls(Collective::all_to_all) == 2 && ledger.calls(Collective::all_gather) == 0;
  if (runtime.is_root()) {
    std::cout << pass << " sends, from each rank:\n";
    for (Ledger::Traffic const& entry : ledger.traffic())
      std::cout << "  " << entry.calls << " x " << text_of(entry.collective) << " over " << entry.axes << ", "
                << entry.bytes << " bytes\n";
    std::cout << (as_planned ? "  two all-to-alls, no all-gather\n" : "  not what was planned\n");
  }
  runtime.ledger().clear();
  return as_planned;
}

int main(int argc, char** argv) {
  return run(argc, argv, [](Runtime& runtime) {
    Grid grid(runtime, {2, 2});
    nn::Initializer initializer(1);
    Layer layer(grid, initializer, {.experts = E, .model = M, .hidden = H, .shared_experts = 1});

    Tokens x(grid, {G, S, M}, "x");
    ShardedTensor<Grid, Spec<"data,expert", _>, int> real(grid, {G, S}, "1 for words, 0 for padding");
    fill(x, Wave{});
    Kokkos::deep_copy(real.local(), 1);

    runtime.ledger().open();
    Tape tape;
    auto const result = layer(tape.watch(x), real, nn::RandomStream{.seed = 1, .stream = 0});
    bool const forward_as_planned = print_plan(runtime, "forward");

    // parameters have their gradients now
    tape.backward(eval(mean(square(result.output)) + 0.01 * result.balance_loss));
    bool const backward_as_planned = print_plan(runtime, "backward");
    runtime.ledger().close();

    nn::GateStatistics const statistics = nn::statistics(result.routing);  // the same on every rank
    if (runtime.is_root()) {
      std::cout << "tokens of each expert:";
      for (std::int64_t load : statistics.load) std::cout << ' ' << load;
      std::cout << std::setprecision(3) << "\ndropped share: " << statistics.dropped_share()
                << ", balance loss: " << statistics.balance_loss << '\n';
    }
    return forward_as_planned && backward_as_planned ? 0 : 1;
  });
}
