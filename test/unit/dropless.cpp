// SPDX-License-Identifier: Apache-2.0
// Dispatch without slots: ragged rows to their experts and back, on every mesh.
#include <gshard/nn/kernels/grouped_gemm.hpp>

#include "mixture_test.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE_TEMPLATE(
    "ragged rows give Algorithms 1 and 2 too: outputs, balance loss, gradients of inputs and of all parameters", Held,
    AsInThePaper, TokensRepeatedOverExperts, BothOverAllRanks) {
  on_every_grid([&](Grid const& grid) {
    for (MixtureShape const& shape : mixture_shapes) check_mixture<nn::DispatchForm::ragged, Held>(grid, shape);
  });
}

TEST_CASE("E24: what the unused rows of a block hold never reaches a result") {
  on_every_grid([](Grid const& grid) {
    for (MixtureShape const& shape : mixture_shapes) {
      poison(grid);
      check_mixture<nn::DispatchForm::ragged, AsInThePaper>(grid, shape);
    }
  });
}

TEST_CASE("E10: grouped products with an expert of no rows") {
  MemoryPool pool;
  Scratch<Kokkos::HostSpace> scratch(pool);
  std::vector<std::int64_t> const ends{2, 2, 3};
  nn::detail::Grouped const shape{ends, 2, 1};
  double const nan = std::numeric_limits<double>::quiet_NaN();
  Values const x{1, 2, 3, 4, 5, 6}, w{1, 1, 7, 7, 2, 0}, dy{1, 1, 1};
  Values y(3, nan), dx(6, nan), dw(6, nan);
  nn::detail::grouped_product<Kokkos::HostSpace>(shape, x.data(), w.data(), y.data(), scratch);
  nn::detail::grouped_product_rows_backward<Kokkos::HostSpace>(shape, dy.data(), w.data(), dx.data(), scratch);
  nn::detail::grouped_product_matrices_backward<Kokkos::HostSpace>(shape, x.data(), dy.data(), dw.data(), scratch);
  CHECK(y == Values{3, 7, 10});
  CHECK(dx == Values{1, 1, 1, 1, 2, 0});
  CHECK(dw == Values{4, 6, 0, 0, 5, 6});
}

namespace {

using Exchange = nn::RaggedExchange<Grid, AsInThePaper, Kokkos::HostSpace>;

}  // namespace

TEST_CASE("E30: counts that do not add up to the rows are refused before anything is sent") {
  on_every_grid([](Grid const& grid) {
    CHECK_THROWS_WITH_AS(Exchange(grid, {2, 2}, 3),
                         doctest::Contains("the counts for 2 experts add up to 4 rows, but there are 3; rank "),
                         CommunicationError);
  });
}

TEST_CASE(
    "E3, E15: every rank makes room for the largest block, whatever its own rows; a rank without rows takes part") {
  on_every_grid([](Grid const& grid) {
    // Rank r has r rows, all for expert 0, which the first rank of each expert group holds.
    std::int64_t const own = grid.rank();
    Exchange const exchange(grid, {own, 0, 0}, own);
    std::int64_t largest = 0;
    for (int data = 0; data < grid.size<"data">(); ++data) {
      std::int64_t sum = 0;
      for (int expert = 0; expert < grid.size<"expert">(); ++expert) sum += data * grid.size<"expert">() + expert;
      largest =
          std::max({largest, sum, static_cast<std::int64_t>(data * grid.size<"expert">() + grid.size<"expert">() - 1)});
    }
    CHECK(exchange.capacity() == largest);

    auto const rows = exchange.unset_rows<double>(1);
    for (std::int64_t i = 0; i < own; ++i) rows.data()[i] = static_cast<double>(10 * grid.rank() + i);
    auto const at_experts = exchange.to_experts(rows);
    if (grid.coordinate<"expert">() == 0) {
      Values right;
      for (int expert = 0; expert < grid.size<"expert">(); ++expert) {
        int const sender = grid.coordinate<"data">() * grid.size<"expert">() + expert;
        for (int i = 0; i < sender; ++i) right.push_back(10 * sender + i);
      }
      CHECK(exchange.received_rows() == static_cast<std::int64_t>(right.size()));
      CHECK(Values(at_experts.data(), at_experts.data() + right.size()) == right);
    } else {
      CHECK(exchange.received_rows() == 0);
    }
    auto const back = exchange.to_tokens(at_experts);
    CHECK(Values(back.data(), back.data() + own) == Values(rows.data(), rows.data() + own));
  });
}

// ---- Figures of the paper, and cases of other systems ----

TEST_CASE("T26: a layer of two experts, by ragged rows") {
  on_every_grid([](Grid const& grid) {
    auto const gates = tensor_of<On<"data,expert", _, _>>(grid, {{1, 4, 2}, {.75, .25, .75, .25, .75, .25, .25, .75}});
    auto const mask = integers<Spec<"data,expert", _>>(grid, {1, 4}, {1, 1, 1, 1});
    auto const x = tensor_of<On<"data,expert", _, _>>(grid, {{1, 4, 2}, {1, 2, 3, -1, 0, 1, 2, 2}});
    nn::Initializer initializer(1);
    nn::MixtureOptions options{2, 2, 2, {}};
    options.gate.capacity_factor = 1;
    nn::ReluExperts<Grid, AsInThePaper, double, Kokkos::HostSpace> experts(grid, initializer, options);
    experts.wi.weight.value = tensor_of<On<"expert", _, _>>(grid, {{2, 2, 2}, {1, -1, 0, 2, 2, 0, 1, 1}});
    experts.wo.weight.value = tensor_of<On<"expert", _, _>>(grid, {{2, 2, 2}, {1, 0, 1, 1, 0, 1, 2, -1}});
    nn::Routing<On<"data,expert", _, _>, nn::TopKGate<2>> const routing(gates, mask, options.gate, nn::RandomStream{});
    nn::RaggedRoutes<Grid, AsInThePaper, Kokkos::HostSpace> const routes(grid, routing);
    auto const rows =
        experts(nn::dispatch_ragged(x, routes), nn::ByRaggedRows<Grid, AsInThePaper, Kokkos::HostSpace>(routes));
    CHECK(difference(nn::combine_ragged(rows, routing.weight, routes), {4, 2.75, 2.25, 0, 0, 0, 3, 3}, 1e-15) == "");
  });
}

TEST_CASE("D3: an expert's gradient does not depend on how many ranks share the experts, by ragged rows") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(1);
    nn::MixtureOfExperts<Grid, AsInThePaper, nn::Dropless<nn::Top2Gate>, nn::ReluExperts, double> layer(
        grid, initializer, {2, 1, 1, {}});
    layer.gate.value = tensor_of<On<_, _>>(grid, {{1, 2}, {500, -500}});
    layer.experts.wi.weight.value = tensor_of<On<"expert", _, _>>(grid, {{2, 1, 1}, {1, 1}});
    layer.experts.wo.weight.value = tensor_of<On<"expert", _, _>>(grid, {{2, 1, 1}, {3, 5}});
    Tape tape;
    auto const x = tape.watch(tensor_of<On<"data,expert", _, _>>(grid, {{4, 1, 1}, {1, 2, 3, 4}}));
    auto const result = layer(x, integers<Spec<"data,expert", _>>(grid, {4, 1}, {1, 1, 1, 1}), nn::RandomStream{});
    tape.backward(mean(result.output));
    CHECK(difference(layer.experts.wo.weight.gradient, {2.5, 0}) == "");
    CHECK(difference(layer.experts.wi.weight.gradient, {7.5, 0}) == "");
    CHECK(difference(tape.gradient(x), {.75, .75, .75, .75}) == "");
  });
}

// ---- Memory, other elements, other memory ----

TEST_CASE("combine keeps the exchanged rows only if the weights of the routes want a gradient") {
  on_every_grid([](Grid const& grid) {
    nn::Routing<On<"data,expert", _, _>, nn::TopKGate<2>> const routing(
        softmax<2>(filled<On<"data,expert", _, _>>(grid, {8, 4, 3}, 1, smooth)),
        integers<Spec<"data,expert", _>>(grid, {8, 4}, std::vector<int>(32, 1)), {}, nn::RandomStream{});
    nn::RaggedRoutes<Grid, AsInThePaper, Kokkos::HostSpace> const routes(grid, routing);
    Tape tape;
    auto const rows =
        tape.watch(nn::dispatch_ragged(filled<On<"data,expert", _, _>>(grid, {8, 4, 16}, 2, smooth), routes));
    auto const weights = tape.watch(routing.weight);
    auto const bytes_of = [&](auto const& make) {
      std::int64_t const before = grid.memory().ledger().bytes_in_use();
      auto const kept = make();
      return grid.memory().ledger().bytes_in_use() - before;
    };
    auto const result = nn::combine_ragged(rows, weights, routes);
    std::int64_t const of_result = bytes_of([&] { return empty_like(result.value()); });
    std::int64_t const of_rows = bytes_of([&] { return empty_like(rows.value()); });
    CHECK(bytes_of([&] { return nn::combine_ragged(rows, routing.weight, routes); }) == of_result);
    CHECK(bytes_of([&] { return nn::combine_ragged(rows, weights, routes); }) ==
          of_result + (grid.size<"expert">() > 1 ? of_rows : 0));
  });
}

TEST_CASE("a steady step takes no new memory, in slots and by ragged rows") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(1);
    nn::MixtureOfExperts<Grid, AsInThePaper, nn::Top2Gate, nn::BiasedGatedExperts, double> layer(grid, initializer,
                                                                                                 {4, 8, 16, {}, 1});
    auto const x = filled<On<"data,expert", _, _>>(grid, {8, 6, 8}, 1, smooth);
    auto const mask = integers<Spec<"data,expert", _>>(grid, {8, 6}, std::vector<int>(48, 1));
    auto const step = [&]<nn::DispatchForm Form>(std::integral_constant<nn::DispatchForm, Form>) {
      Tape tape;
      auto const result = layer.operator()<Form>(tape.watch(x), mask, nn::RandomStream{3, 4});
      tape.backward(eval(mean(square(result.output)) + result.balance_loss));
      layer.for_each_parameter([](auto& parameter) { parameter.clear_gradient(); });
    };
    auto const both = [&] {
      step(std::integral_constant<nn::DispatchForm, nn::DispatchForm::by_index>{});
      step(std::integral_constant<nn::DispatchForm, nn::DispatchForm::ragged>{});
    };
    both();
    std::int64_t const before = grid.memory().allocations<Kokkos::HostSpace>();
    for (int i = 0; i < 3; ++i) both();
    CHECK(grid.memory().allocations<Kokkos::HostSpace>() == before);
  });
}

namespace {

template <class T>
using MixtureOf = nn::MixtureOfExperts<Grid, AsInThePaper, nn::TopKGate<2>, nn::GatedExperts, T>;

template <class T>
MixtureOf<T> mixture_on(Grid const& grid) {
  nn::Initializer initializer(1);
  return MixtureOf<T>(grid, initializer, {4, 8, 16, {}});
}

/// Outputs and the gradient of the inputs.
template <nn::DispatchForm Form, class T>
Values outputs_of(Grid const& grid, MixtureOf<T>& layer) {
  auto const rounded =
      eval(cast<BFloat16>(filled<ShardedTensor<Grid, Spec<"data,expert", _, _>>>(grid, {4, 6, 8}, 1, smooth)));
  auto const mask = integers<Spec<"data,expert", _>>(grid, {4, 6}, std::vector<int>(24, 1));
  Tape tape;
  auto const x = tape.watch(eval(cast<T>(rounded)));
  auto const output = layer.template operator()<Form>(x, mask, nn::RandomStream{3, 4}).output;
  tape.backward(sum(eval(cast<float>(output))));
  Values result = collected(eval(cast<double>(output.value())));
  Values const gradient = collected(eval(cast<double>(tape.gradient(x))));
  result.insert(result.end(), gradient.begin(), gradient.end());
  return result;
}

}  // namespace

TEST_CASE(
    "E12: BFloat16 tokens are routed in float, to the experts that float tokens of the same values choose, in all forms") {
  on_every_grid([](Grid const& grid) {
    auto layer = mixture_on<BFloat16>(grid);
    auto wide = mixture_on<float>(grid);
    assign(wide.gate.value, cast<float>(layer.gate.value));
    assign(wide.experts.wg.weight.value, cast<float>(layer.experts.wg.weight.value));
    assign(wide.experts.wi.weight.value, cast<float>(layer.experts.wi.weight.value));
    assign(wide.experts.wo.weight.value, cast<float>(layer.experts.wo.weight.value));
    Values const right = outputs_of<nn::DispatchForm::by_index>(grid, wide);
    CHECK(difference(outputs_of<nn::DispatchForm::by_index>(grid, layer), right, .02) == "");
    CHECK(difference(outputs_of<nn::DispatchForm::by_one_hot>(grid, layer), right, .02) == "");
    CHECK(difference(outputs_of<nn::DispatchForm::ragged>(grid, layer), right, .02) == "");
  });
}

TEST_CASE(
    "in abstract memory ragged rows are spread evenly: two exchanges of rows a pass, and six products of all routes") {
  AbstractRuntime machine;
  Grid const grid(machine, {2, 4});
  nn::Initializer initializer(1);
  nn::MixtureOfExperts<Grid, AsInThePaper, nn::Dropless<nn::Top2Gate>, nn::ReluExperts, float, AbstractSpace> layer(
      grid, initializer, {8, 16, 32, {}});
  ShardedTensor<Grid, Spec<"data,expert", _, _>, float, AbstractSpace> const x(grid, {8, 64, 16});
  ShardedTensor<Grid, Spec<"data,expert", _>, int, AbstractSpace> const real(grid, {8, 64});
  machine.ledger().clear();
  Tape tape;
  auto const result = layer(tape.watch(x), real, nn::RandomStream{1, 2});
  CHECK(machine.ledger().calls(Collective::all_to_all) == 3);  // of counts as well
  CHECK(machine.ledger().calls(Collective::all_gather) == 0);
  tape.backward(eval(mean(square(result.output)) + result.balance_loss));
  CHECK(machine.ledger().calls(Collective::all_to_all) == 5);
  auto const& work = machine.ledger().work();
  auto const products = std::ranges::find(work, "grouped product", &Ledger::Work::operation);
  REQUIRE(products != work.end());
  CHECK(products->calls == 6);
  CHECK(products->flops == 6 * 2 * (64 * 2) * 16 * 32);
}
