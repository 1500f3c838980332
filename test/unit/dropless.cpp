// SPDX-License-Identifier: Apache-2.0
// Dispatch without slots: ragged rows to their experts and back, on every mesh.
#include <gshard/nn/kernels/grouped_gemm.hpp>

#include "mixture_test.hpp"

using namespace gshard;
using namespace gshard::test;

TEST_CASE_TEMPLATE("ragged rows give Algorithms 1 and 2 too: outputs, balance loss, gradients of inputs and of all parameters", Held, AsInThePaper,
                   TokensRepeatedOverExperts, BothOverAllRanks) {
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
                         doctest::Contains("the counts for 2 experts add up to 4 rows, but there are 3; rank "), CommunicationError);
  });
}

TEST_CASE("E3, E15: every rank makes room for the largest block, whatever its own rows; a rank without rows takes part") {
  on_every_grid([](Grid const& grid) {
    // Rank r has r rows, all for expert 0, which the first rank of each expert group holds.
    std::int64_t const own = grid.rank();
    Exchange const exchange(grid, {own, 0, 0}, own);
    std::int64_t largest = 0;
    for (int data = 0; data < grid.size<"data">(); ++data) {
      std::int64_t sum = 0;
      for (int expert = 0; expert < grid.size<"expert">(); ++expert) sum += data * grid.size<"expert">() + expert;
      largest = std::max({largest, sum, static_cast<std::int64_t>(data * grid.size<"expert">() + grid.size<"expert">() - 1)});
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
