// SPDX-License-Identifier: Apache-2.0
// The operands of a mixture's operations: whichever are recorded get their gradients, and routes that a caller wrote
// and that lead nowhere are passed over.
#include <limits>
#include <vector>

#include <gshard/nn/moe/layer.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;
using Tokens = On<"data,expert", _, _>;
using Slots = On<_, "data,expert", _, _>;
using Gate = nn::TopKGate<2>;
using Routing = nn::Routing<Tokens, Gate>;
using Ragged = nn::RaggedRoutes<Grid, ByExpert, Kokkos::HostSpace>;
using ByRows = nn::ByRaggedRows<Grid, ByExpert, Kokkos::HostSpace>;

// G = 3 groups of S = 4 tokens, E = 3 experts of C = 2 slots, K = 2 choices, M = 2
Tokens gates_on(Grid const& grid) { return eval(softmax<-1>(filled<Tokens>(grid, {3, 4, 3}, 7, smooth))); }

Routing routing_on(Grid const& grid) {
  nn::GateOptions options;
  options.capacity_factor = 1.5;
  std::vector<int> mask(12, 1);
  mask[3] = 0;
  return Routing(gates_on(grid), integers<Spec<"data,expert", _>>(grid, {3, 4}, mask), options, nn::RandomStream{});
}

NoParameters none;

}  // namespace

TEST_CASE("combine and the biases of experts on slots: gradients of whichever operands are recorded") {
  on_every_grid([](Grid const& grid) {
    Routing const routing = routing_on(grid);
    check_recorded_combinations(
        none,
        [&](NoParameters&, auto const& slots, auto const& weights) { return nn::combine(slots, weights, routing); },
        filled<Slots>(grid, {3, 3, 2, 2}, 1, smooth), filled<Tokens>(grid, {3, 4, 2}, 2, smooth));
    check_recorded_combinations(
        none, [&](NoParameters&, auto const& rows, auto const& bias) { return nn::BySlots{}.plus(rows, bias); },
        filled<On<"expert", "data", _, _>>(grid, {3, 3, 2, 2}, 3, smooth),
        filled<On<"expert", _>>(grid, {3, 2}, 4, smooth));
  });
}

TEST_CASE("ragged rows: gradients of tokens, experts' weights, biases and routes' weights, whichever are recorded") {
  on_every_grid([](Grid const& grid) {
    Routing const routing = routing_on(grid);
    Ragged const routes(grid, routing);
    ByRows const by_rows(routes);
    auto const x = filled<Tokens>(grid, {3, 4, 2}, 1, smooth);
    check_recorded_combinations(
        none,
        [&](NoParameters&, auto const& tokens, auto const& weight, auto const& weights) {
          return nn::combine_ragged(by_rows.times(nn::dispatch_ragged(tokens, routes), weight), weights, routes);
        },
        x, filled<On<"expert", _, _>>(grid, {3, 2, 2}, 2, smooth), filled<Tokens>(grid, {3, 4, 2}, 3, smooth));
    check_recorded_combinations(
        none,
        [&](NoParameters&, auto const& tokens, auto const& bias) {
          return nn::combine_ragged(by_rows.plus(nn::dispatch_ragged(tokens, routes), bias), routing.weight, routes);
        },
        x, filled<On<"expert", _>>(grid, {3, 2}, 4, smooth));
  });
}

namespace {

/// A routing whose first token of each group is sent to `expert`, whose second has `slot`, and whose first slots hold
/// `token`.
Routing routing_with(Grid const& grid, int expert, int slot, int token) {
  Routing const routing = routing_on(grid);
  for (std::size_t group = 0; group < routing.expert.local().extent(0); ++group) {
    routing.expert.local()(group, 0, 0) = expert;
    routing.slot.local()(group, 1, 0) = slot;
    for (std::size_t e = 0; e < 3; ++e) routing.token_of_slot.local()(e, group, 0) = token;
  }
  return routing;
}

/// All results and gradients of a routing.
std::vector<Values> results_by(Grid const& grid, Routing const& routing) {
  std::vector<Values> results;
  Tape tape;
  auto const x = tape.watch(filled<Tokens>(grid, {3, 4, 2}, 1, smooth));
  auto const slots = tape.watch(filled<Slots>(grid, {3, 3, 2, 2}, 2, smooth));
  auto const weights = tape.watch(filled<Tokens>(grid, {3, 4, 2}, 3, smooth));
  auto const gates = tape.watch(gates_on(grid));
  Ragged const routes(grid, routing);
  auto const sent = nn::dispatch(x, routing);
  auto const back = nn::combine(slots, weights, routing);
  auto const one_hot = nn::one_hot_routes(weights, routing);
  auto const ragged = nn::combine_ragged(nn::dispatch_ragged(x, routes), weights, routes);
  auto const learned = nn::route_weights(gates, routing);
  results.push_back(collected(sent.value()));
  results.push_back(collected(back.value()));
  results.push_back(collected(one_hot.combine.value()));
  results.push_back(collected(one_hot.mask));
  results.push_back(collected(ragged.value()));
  tape.backward(eval(weighted_sum(sent) + weighted_sum(back) + weighted_sum(one_hot.combine) + weighted_sum(ragged) +
                     weighted_sum(learned)));
  results.push_back(collected(tape.gradient(x)));
  results.push_back(collected(tape.gradient(slots)));
  results.push_back(collected(tape.gradient(weights)));
  results.push_back(collected(tape.gradient(gates)));
  return results;
}

}  // namespace

TEST_CASE(
    "routes that a caller wrote to experts, slots and tokens that do not exist are passed over like dropped ones") {
  on_every_grid([](Grid const& grid) {
    constexpr int largest = std::numeric_limits<int>::max(), least = std::numeric_limits<int>::min();
    auto const right = results_by(grid, routing_with(grid, -1, -1, -1));
    CHECK(results_by(grid, routing_with(grid, 3, -1, 4)) == right);
    CHECK(results_by(grid, routing_with(grid, largest, -1, largest)) == right);
    CHECK(results_by(grid, routing_with(grid, least, least, least)) == right);
    // Ragged rows have no slots that a route could be beyond: it is as good as any other.
    for (int slot : {2, largest}) {
      auto const found = results_by(grid, routing_with(grid, -1, slot, -1));
      for (std::size_t i : {0U, 1U, 2U, 3U, 6U}) CHECK(found[i] == right[i]);
    }
  });
}
