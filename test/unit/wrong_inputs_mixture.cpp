// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of a mixture of experts: each call is refused by one exception on all ranks, before a message is sent.
// Options: gating_capacity.cpp.
#include <limits>
#include <utility>
#include <vector>

#include <gshard/nn/moe/layer.hpp>

#include "layer_test.hpp"
#include "wrong_inputs.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;
using Groups = On<"data,expert">;
using Tokens = On<"data,expert", _, _>;
using Mask = Integers<Spec<"data,expert", _>>;
using Slots = On<_, "data,expert", _, _>;
using AtExperts = On<"expert", "data", _, _>;
using Routing = nn::Routing<Tokens>;
using Ragged = nn::RaggedRoutes<Grid, ByExpert, Kokkos::HostSpace>;
using Exchange = Ragged::Exchange;

// G = 4 groups of S = 3 tokens, E = 2 experts of C = 3 slots, K = 2 choices, M = 5
constexpr std::int64_t G = 4, S = 3, E = 2, C = 3, K = 2, M = 5;

Mask mask_on(Grid const& grid, std::int64_t groups = G, std::int64_t tokens = S) {
  return integers<Spec<"data,expert", _>>(grid, {groups, tokens},
                                          std::vector<int>(static_cast<std::size_t>(groups * tokens), 1));
}

Routing routing_on(Grid const& grid) {
  return Routing(eval(softmax<-1>(filled<Tokens>(grid, {G, S, E}, 1, smooth))), mask_on(grid), {}, nn::RandomStream{});
}

/// Each mesh of this run's ranks, and another object of the same sizes.
template <class Action>
void on_grids(Action const& action) {
  on_every_grid([&](Grid const& grid) {
    Grid const other(runtime(), {grid.size<"data">(), grid.size<"expert">()});
    action(grid, other);
  });
}

template <class Tensor>
Tensor moved_from(Tensor tensor) {
  Tensor const taken = std::move(tensor);
  return tensor;
}

}  // namespace

TEST_CASE("Routing: gates and mask that do not belong together, no experts, groups that are too large") {
  on_grids([](Grid const& grid, Grid const& other) {
    Tokens const gates(grid, {G, S, E}, "g");
    auto const make = [](Tokens const& of, Mask const& mask, nn::GateOptions const& options = {}) {
      return [=] { Routing(of, mask, options, nn::RandomStream{}); };
    };
    expect_refusal<StateError>("Routing: unset gates", make({}, mask_on(grid)), "gate: gates (unset)");
    expect_refusal<StateError>("Routing: moved-from gates", make(moved_from(gates), mask_on(grid)), "gates (unset)");
    expect_refusal<StateError>("Routing: unset mask", make(gates, {}), "gate: mask (unset)");
    expect_refusal<MeshError>("Routing: mask on another mesh", make(gates, mask_on(other)),
                              "gate: gates 'g' (4, 3, 2)");
    expect_refusal<ExtentError>("Routing: mask of other groups", make(gates, mask_on(grid, 5)),
                                "dimension 0 of mask (5, 3)", "has to be 4");
    expect_refusal<ExtentError>("Routing: mask of longer groups", make(gates, mask_on(grid, G, 4)),
                                "dimension 1 of mask (4, 4)", "has to be 3");
    expect_refusal<ExtentError>("Routing: no experts", make(Tokens(grid, {G, S, 0}), mask_on(grid)), "of no expert");
    expect_refusal<OptionError>("Routing: option", make(gates, mask_on(grid), {.capacity_factor = -1}),
                                "option capacity_factor = -1");
  });
  AbstractRuntime machine;
  Grid const grid(machine, {1, 1});
  using Many = ShardedTensor<Grid, Spec<"data,expert", _, _>, float, AbstractSpace>;
  expect_refusal<ExtentError>(
      "Routing: 2^31 choices of a group",
      [&] {
        nn::Routing<Many>(
            Many(grid, {1, std::int64_t{1} << 30, 2}),
            ShardedTensor<Grid, Spec<"data,expert", _>, int, AbstractSpace>(grid, {1, std::int64_t{1} << 30}), {}, {});
      },
      "2147483647 choices");
}

TEST_CASE("dispatch, combine and one_hot_routes: tensors of other groups, tokens, slots and choices than the routing") {
  on_grids([](Grid const& grid, Grid const& other) {
    Routing const routing = routing_on(grid);
    auto const dispatch = [&](Tokens const& x) { return [=] { nn::dispatch(x, routing); }; };
    expect_refusal<StateError>("dispatch: unset x", dispatch({}), "dispatch: x (unset)");
    expect_refusal<MeshError>("dispatch: x on another mesh", dispatch(Tokens(other, {G, S, M})),
                              "dispatch: x (4, 3, 5)");
    expect_refusal<ExtentError>("dispatch: fewer groups", dispatch(Tokens(grid, {G - 1, S, M})), "dimension 0 of x");
    expect_refusal<ExtentError>("dispatch: groups of another size", dispatch(Tokens(grid, {G, S - 1, M})),
                                "dimension 1 of x (4, 2, 5) has to be 3");
    expect_refusal<ExtentError>("dispatch: no tokens", dispatch(Tokens(grid, {G, 0, M})), "dimension 1 of x");

    Slots const slots(grid, {E, G, C, M});
    Tokens const weights(grid, {G, S, K});
    auto const combine = [&](Slots const& rows, Tokens const& w) { return [=] { nn::combine(rows, w, routing); }; };
    expect_refusal<StateError>("combine: unset slots", combine({}, weights), "combine: slots (unset)");
    expect_refusal<StateError>("combine: unset weights", combine(slots, {}), "combine: weights (unset)");
    expect_refusal<MeshError>("combine: slots on another mesh", combine(Slots(other, {E, G, C, M}), weights),
                              "combine: ");
    expect_refusal<MeshError>("combine: weights on another mesh", combine(slots, Tokens(other, {G, S, K})), "weights");
    expect_refusal<ExtentError>("combine: fewer experts", combine(Slots(grid, {E - 1, G, C, M}), weights),
                                "dimension 0 of slots");
    expect_refusal<ExtentError>("combine: fewer groups", combine(Slots(grid, {E, G - 1, C, M}), weights),
                                "dimension 1 of slots");
    expect_refusal<ExtentError>("combine: fewer slots", combine(Slots(grid, {E, G, C - 1, M}), weights),
                                "dimension 2 of slots (2, 4, 2, 5) has to be 3");
    expect_refusal<ExtentError>("combine: weights of other tokens", combine(slots, Tokens(grid, {G, S - 1, K})),
                                "dimension 1 of weights");
    expect_refusal<ExtentError>("combine: weights of fewer choices", combine(slots, Tokens(grid, {G, S, K - 1})),
                                "dimension 2 of weights");

    auto const one_hot = [&](Tokens const& w) { return [=] { nn::one_hot_routes(w, routing); }; };
    expect_refusal<StateError>("one_hot_routes: unset weights", one_hot({}), "one_hot_routes: weights (unset)");
    expect_refusal<MeshError>("one_hot_routes: weights on another mesh", one_hot(Tokens(other, {G, S, K})), "weights");
    expect_refusal<ExtentError>("one_hot_routes: weights of other tokens", one_hot(Tokens(grid, {G, S + 1, K})),
                                "dimension 1 of weights");
    Tokens const longer(grid, {G, S + 1, K});
    Ledger& ledger = grid.memory().ledger();
    ledger.clear();
    std::int64_t const before = ledger.bytes_in_use();
    CHECK_THROWS_AS(nn::one_hot_routes(longer, routing), ExtentError);
    CHECK(ledger.peak_bytes() == before);  // the mask (G, S, E, C) was not allocated
  });
}

TEST_CASE("losses and statistics: gates, logits, masks and losses of other extents than the routing") {
  on_grids([](Grid const& grid, Grid const& other) {
    Routing const routing = routing_on(grid);
    Tokens const longer(grid, {G, S + 1, E}), elsewhere(other, {G, S, E});
    expect_refusal<StateError>("route_weights: unset gates", [&] { nn::route_weights(Tokens{}, routing); }, "(unset)");
    expect_refusal<ExtentError>(
        "route_weights: other gates", [&] { nn::route_weights(longer, routing); },
        "route_weights: dimension 1 of gates (4, 4, 2) has to be 3");
    expect_refusal<MeshError>("route_weights: other mesh", [&] { nn::route_weights(elsewhere, routing); }, "gates");
    expect_refusal<StateError>(
        "balance_losses: unset gates", [&] { nn::balance_losses(Tokens{}, routing); }, "(unset)");
    expect_refusal<ExtentError>(
        "balance_losses: other gates", [&] { nn::balance_losses(longer, routing); }, "balance_losses: dimension 1");
    expect_refusal<MeshError>("balance_losses: other mesh", [&] { nn::balance_losses(elsewhere, routing); }, "gates");
    expect_refusal<ExtentError>("balance_loss: other gates", [&] { nn::balance_loss(longer, routing); }, "dimension 1");

    expect_refusal<StateError>(
        "mean_over_groups: unset losses", [&] { nn::mean_over_groups(Groups{}, routing); },
        "mean_over_groups: losses (unset)");
    expect_refusal<ExtentError>(
        "mean_over_groups: other groups", [&] { nn::mean_over_groups(Groups(grid, {G + 1}), routing); },
        "one loss for each group");
    expect_refusal<MeshError>(
        "mean_over_groups: other mesh", [&] { nn::mean_over_groups(Groups(other, {G}), routing); }, "losses");

    Tokens const logits(grid, {G, S, E});
    expect_refusal<StateError>("z_losses: unset logits", [&] { nn::z_losses(Tokens{}, mask_on(grid)); }, "(unset)");
    expect_refusal<StateError>("z_losses: unset mask", [&] { nn::z_losses(logits, Mask{}); }, "mask (unset)");
    expect_refusal<ExtentError>(
        "z_losses: shorter mask", [&] { nn::z_losses(logits, mask_on(grid, G, S - 1)); },
        "z_losses: dimension 1 of mask (4, 2) has to be 3");
    expect_refusal<MeshError>("z_losses: other mesh", [&] { nn::z_losses(logits, mask_on(other)); }, "mask");
    expect_refusal<ExtentError>(
        "z_loss: other groups than the routing",
        [&] { nn::z_loss(Tokens(grid, {1, S, E}), mask_on(grid, 1), routing); }, "one loss for each group");

    expect_refusal<StateError>("statistics: unset z-loss", [&] { nn::statistics(routing, On<>{}); }, "z_loss (unset)");
    expect_refusal<MeshError>(
        "statistics: z-loss on another mesh", [&] { nn::statistics(routing, On<>(other)); }, "z_loss");
  });
}

TEST_CASE("a routing whose tables a caller has replaced by others that do not fit, or moved from") {
  on_grids([](Grid const& grid, Grid const& other) {
    Routing const right = routing_on(grid);
    Tokens const x(grid, {G, S, M});
    auto const changed = [&](auto const& change) {
      return [=] {
        Routing routing = right;
        change(routing);
        nn::dispatch(x, routing);
      };
    };
    expect_refusal<StateError>("dispatch: routing without slots", changed([](Routing& r) { r.slot = {}; }),
                               "the routing's slot (unset)");
    expect_refusal<ExtentError>("dispatch: routing with slots of fewer choices",
                                changed([&](Routing& r) { r.slot = decltype(r.slot)(grid, {G, S, 1}); }),
                                "the routing's slot (4, 3, 1)");
    expect_refusal<ExtentError>("dispatch: routing of another capacity", changed([](Routing& r) { r.capacity = 7; }),
                                "dimension 2 of the routing's token_of_slot");
    expect_refusal<ExtentError>("dispatch: routing with fewer groups of slots", changed([&](Routing& r) {
                                  r.token_of_slot = decltype(r.token_of_slot)(grid, {E, 1, C});
                                }),
                                "the routing's token_of_slot (2, 1, 3)");
    expect_refusal<MeshError>("dispatch: routing with weights of another mesh",
                              changed([&](Routing& r) { r.weight = decltype(r.weight)(other, {G, S, K}); }),
                              "the routing's weight");
    expect_refusal<ExtentError>(
        "statistics: routing with counts of other experts",
        [&] {
          Routing routing = right;
          routing.kept = decltype(routing.kept)(grid, {G, E + 1});
          nn::statistics(routing);
        },
        "the routing's kept (4, 3)");
    expect_refusal<StateError>(
        "RaggedRoutes: moved-from routing",
        [&] {
          Routing routing = right;
          Routing const taken = std::move(routing);
          Ragged(grid, routing);
        },
        "the routing's expert (unset)");
  });
}

TEST_CASE("ragged rows: of other tokens, weights or experts than the routes, on another mesh, unset") {
  on_grids([](Grid const& grid, Grid const& other) {
    Routing const routing = routing_on(grid);
    Ragged const routes(grid, routing);
    Exchange const& exchange = routes.exchange();
    auto const rows = exchange.unset_rows<double>(M);
    using Rows = std::remove_const_t<decltype(rows)>;
    Tokens const weights(grid, {G, S, K});

    expect_refusal<MeshError>("RaggedRoutes: other mesh", [&] { Ragged(other, routing); }, "the routing's expert");
    expect_refusal<MeshError>("RaggedRoutes: unset mesh", [&] { Ragged(Grid{}, routing); }, "(unset)");
    expect_refusal<StateError>("RaggedExchange: unset mesh", [&] { Exchange(Grid{}, {0, 0}, 0); }, "the mesh is unset");
    expect_refusal<CommunicationError>(
        "RaggedExchange: counts that do not add up", [&] { Exchange(grid, {1, 2}, 4); },
        "add up to 3 rows, but there are 4");
    expect_refusal<CommunicationError>(
        "RaggedExchange: a negative count", [&] { Exchange(grid, {-1, 2}, 1); }, "a count is negative");
    expect_refusal<StateError>("to_experts: unset rows", [&] { exchange.to_experts(Rows{}); }, "rows (unset)");
    expect_refusal<ExtentError>(
        "to_experts: too few rows", [&] { exchange.to_experts(Rows(grid, {1, M})); }, "dimension 0 of rows (1, 5)");
    expect_refusal<MeshError>(
        "to_experts: other mesh", [&] { exchange.to_experts(Rows(other, rows.extents())); }, "rows");
    expect_refusal<StateError>("to_tokens: unset rows", [&] { exchange.to_tokens(Rows{}); }, "rows (unset)");
    expect_refusal<ExtentError>(
        "to_tokens: too few rows", [&] { exchange.to_tokens(Rows(grid, {1, M})); }, "dimension 0");

    auto const dispatch = [&](Tokens const& x) { return [&routes, x] { nn::dispatch_ragged(x, routes); }; };
    expect_refusal<StateError>("dispatch_ragged: unset x", dispatch({}), "dispatch_ragged: x (unset)");
    expect_refusal<MeshError>("dispatch_ragged: other mesh", dispatch(Tokens(other, {G, S, M})), "dispatch_ragged: x");
    expect_refusal<ExtentError>("dispatch_ragged: fewer groups", dispatch(Tokens(grid, {1, S, M})), "dimension 0 of x");
    expect_refusal<ExtentError>("dispatch_ragged: shorter groups", dispatch(Tokens(grid, {G, S - 1, M})),
                                "dimension 1 of x");

    auto const combine = [&](Rows const& r, Tokens const& w) {
      return [&routes, r, w] { nn::combine_ragged(r, w, routes); };
    };
    expect_refusal<StateError>("combine_ragged: unset rows", combine({}, weights), "combine_ragged: rows (unset)");
    expect_refusal<ExtentError>("combine_ragged: too few rows", combine(Rows(grid, {1, M}), weights),
                                "dimension 0 of rows");
    expect_refusal<StateError>("combine_ragged: unset weights", combine(rows, {}), "weights (unset)");
    expect_refusal<ExtentError>("combine_ragged: other weights", combine(rows, Tokens(grid, {G, S, 1})),
                                "dimension 2 of weights (4, 3, 1) has to be 2");
    expect_refusal<MeshError>("combine_ragged: weights on another mesh", combine(rows, Tokens(other, {G, S, K})),
                              "weights");

    nn::ByRaggedRows<Grid, ByExpert, Kokkos::HostSpace> const by_rows(routes);
    using Weight = On<"expert", _, _>;
    using Bias = On<"expert", _>;
    auto const times = [&](Rows const& r, Weight const& w) { return [&by_rows, r, w] { by_rows.times(r, w); }; };
    expect_refusal<StateError>("ByRaggedRows::times: unset rows", times({}, Weight(grid, {E, M, 2})), "rows (unset)");
    expect_refusal<ExtentError>("ByRaggedRows::times: too few rows", times(Rows(grid, {1, M}), Weight(grid, {E, M, 2})),
                                "dimension 0 of rows");
    expect_refusal<StateError>("ByRaggedRows::times: unset weight", times(rows, {}), "weight (unset)");
    expect_refusal<ExtentError>("ByRaggedRows::times: fewer experts", times(rows, Weight(grid, {1, M, 2})),
                                "dimension 0 of weight (1, 5, 2) has to be 2");
    expect_refusal<ExtentError>("ByRaggedRows::times: other columns", times(rows, Weight(grid, {E, M + 1, 2})),
                                "dimension 1 of weight");
    expect_refusal<MeshError>("ByRaggedRows::times: other mesh", times(rows, Weight(other, {E, M, 2})), "weight");
    auto const plus = [&](Rows const& r, Bias const& b) { return [&by_rows, r, b] { by_rows.plus(r, b); }; };
    expect_refusal<StateError>("ByRaggedRows::plus: unset rows", plus({}, Bias(grid, {E, M})), "rows (unset)");
    expect_refusal<StateError>("ByRaggedRows::plus: unset bias", plus(rows, {}), "bias (unset)");
    expect_refusal<ExtentError>("ByRaggedRows::plus: shorter bias", plus(rows, Bias(grid, {E, M - 1})),
                                "dimension 1 of bias");
    expect_refusal<ExtentError>("ByRaggedRows::plus: fewer experts", plus(rows, Bias(grid, {1, M})),
                                "dimension 0 of bias");
    expect_refusal<MeshError>("ByRaggedRows::plus: other mesh", plus(rows, Bias(other, {E, M})), "bias");
  });
}

TEST_CASE("experts on slots: rows, weights and biases of other extents") {
  on_grids([](Grid const& grid, Grid const& other) {
    AtExperts const rows(grid, {E, G, C, M});
    using Weight = On<"expert", _, _>;
    using Bias = On<"expert", _>;
    auto const times = [](AtExperts const& r, Weight const& w) { return [=] { eval(nn::BySlots{}.times(r, w)); }; };
    expect_refusal<ExtentError>("BySlots::times: other columns", times(rows, Weight(grid, {E, M + 1, 2})), "einsum");
    expect_refusal<ExtentError>("BySlots::times: other experts", times(rows, Weight(grid, {E + 1, M, 2})), "einsum");
    auto const plus = [](AtExperts const& r, Bias const& b) { return [=] { nn::BySlots{}.plus(r, b); }; };
    expect_refusal<StateError>("BySlots::plus: unset rows", plus({}, Bias(grid, {E, M})), "rows (unset)");
    expect_refusal<StateError>("BySlots::plus: unset bias", plus(rows, {}), "bias (unset)");
    expect_refusal<ExtentError>("BySlots::plus: other experts", plus(rows, Bias(grid, {E - 1, M})),
                                "expert bias: dimension 0 of bias (1, 5) has to be 2");
    expect_refusal<ExtentError>("BySlots::plus: shorter bias", plus(rows, Bias(grid, {E, M - 1})),
                                "dimension 1 of bias");
    expect_refusal<MeshError>("BySlots::plus: other mesh", plus(rows, Bias(other, {E, M})), "expert bias: ");
  });
}

TEST_CASE("the layer: tokens and masks of other extents, options changed after it was made") {
  on_grids([](Grid const& grid, Grid const& other) {
    using Layer = nn::MixtureOfExperts<Grid, ByExpert, nn::Top2Gate, nn::ReluExperts, double>;
    nn::Initializer initializer(1);
    nn::MixtureOptions const options{E, M, 4, {}, 1};
    expect_refusal<OptionError>(
        "MixtureOfExperts: no experts", [&] { Layer(grid, initializer, {0, M, 4, {}}); }, "option experts = 0");
    expect_refusal<OptionError>(
        "MixtureOfExperts: capacity factor", [&] { Layer(grid, initializer, {E, M, 4, {.capacity_factor = -2}}); },
        "option capacity_factor = -2");
    using Relu = nn::ReluExperts<Grid, ByExpert, double, Kokkos::HostSpace>;
    using Gated = nn::GatedExperts<Grid, ByExpert, double, Kokkos::HostSpace>;
    expect_refusal<OptionError>(
        "ReluExperts: no hidden units", [&] { Relu(grid, initializer, {E, M, 0, {}}); }, "option hidden = 0");
    expect_refusal<OptionError>(
        "GatedExperts: no experts", [&] { Gated(grid, initializer, {-1, M, 4, {}}); }, "option experts = -1");
    using Shared = nn::SharedExperts<Grid, ByExpert, nn::ReluExperts, double, Kokkos::HostSpace>;
    expect_refusal<OptionError>(
        "SharedExperts: fewer than none", [&] { Shared(grid, initializer, {E, M, 4, {}, -1}); },
        "option shared_experts = -1");

    Layer layer(grid, initializer, options);
    Tokens const x(grid, {G, S, M});
    auto const both = [&](std::string const& row, auto const& check, Tokens const& tokens, Mask const& mask) {
      check("MixtureOfExperts: " + row, [&] { layer(tokens, mask, nn::RandomStream{}); });
      check("MixtureOfExperts::infer: " + row, [&] { layer.infer(tokens, mask); });
    };
    auto const state = [](std::string const& row, auto const& call) {
      expect_refusal<StateError>(row, call, "(unset)");
    };
    auto const mesh = [](std::string const& row, auto const& call) {
      expect_refusal<MeshError>(row, call, "lives on mesh");
    };
    auto const extent = [](std::string const& row, auto const& call) {
      expect_refusal<ExtentError>(row, call, "mixture of experts: dimension");
    };
    both("unset x", state, {}, mask_on(grid));
    both("unset mask", state, x, {});
    both("x on another mesh", mesh, Tokens(other, {G, S, M}), mask_on(grid));
    both("mask on another mesh", mesh, x, mask_on(other));
    both("other width", extent, Tokens(grid, {G, S, M + 1}), mask_on(grid));
    both("mask of other groups", extent, x, mask_on(grid, G + 1));
    both("mask of longer groups", extent, x, mask_on(grid, G, S + 1));
    layer.options.gate.minimum_capacity = -3;
    both(
        "option changed",
        [](std::string const& row, auto const& call) {
          expect_refusal<OptionError>(row, call, "option minimum_capacity = -3");
        },
        x, mask_on(grid));

    Shared shared(grid, initializer, options);
    expect_refusal<StateError>("SharedExperts: unset x", [&] { shared.added_to(x, Tokens{}); }, "x (unset)");
    expect_refusal<ExtentError>(
        "SharedExperts: other tokens", [&] { shared.added_to(x, Tokens(grid, {G, 1, M})); }, "shared experts: ");
    expect_refusal<MeshError>(
        "SharedExperts: other mesh", [&] { shared.added_to(x, Tokens(other, {G, S, M})); }, "shared experts: ");
  });
}

TEST_CASE("zero_padding: masks of other extents than the tokens") {
  on_grids([](Grid const& grid, Grid const& other) {
    Tokens const x(grid, {G, S, M});
    expect_refusal<StateError>(
        "zero_padding: unset x", [&] { nn::zero_padding(Tokens{}, mask_on(grid)); }, "x (unset)");
    expect_refusal<StateError>("zero_padding: unset mask", [&] { nn::zero_padding(x, Mask{}); }, "token_mask (unset)");
    expect_refusal<ExtentError>(
        "zero_padding: other groups", [&] { nn::zero_padding(x, mask_on(grid, 1)); },
        "zero_padding: dimension 0 of token_mask (1, 3) and dimension 0 of x (4, 3, 5) have to be equal");
    expect_refusal<ExtentError>(
        "zero_padding: shorter mask", [&] { nn::zero_padding(x, mask_on(grid, G, 1)); }, "dimension 1 of token_mask");
    expect_refusal<MeshError>("zero_padding: other mesh", [&] { nn::zero_padding(x, mask_on(other)); }, "token_mask");
  });
}
