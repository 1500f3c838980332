// SPDX-License-Identifier: Apache-2.0
// Dropout: which elements go is a function of seed, stream and global index.
#include <cmath>
#include <cstdint>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/nn/dropout.hpp>
#include <gshard/nn/initialize.hpp>

#include "layer_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

/// The factor of the element at a global position.
double factor(nn::RandomStream random, double rate, std::uint64_t position) {
  auto const own = nn::detail::fold_in(random, nn::detail::RandomPurpose::dropout);
  auto const words = gshard::detail::random_bits(own.seed, own.stream, position / 4);
  return static_cast<double>(words[position % 4]) < rate * 0x1p32 ? 0 : 1 / (1 - rate);
}

Values dropped(Values values, double rate, nn::RandomStream random) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= factor(random, rate, i);
  return values;
}

}  // namespace

TEST_CASE(
    "K1, K2: dropout depends on seed, stream and global index, whatever the mesh and the spec; the gradient takes the same mask") {
  on_every_grid([](Grid const& grid) {
    auto check = [&]<class Tensor>(std::type_identity<Tensor>, Extents const& extents, double rate,
                                   nn::RandomStream random) {
      INFO("rate ", rate, ", extents ", gshard::detail::text_of(extents), ", spec ",
           gshard::detail::text_of<Grid>(Tensor::layout));
      check_operation<Tensor>(
          grid, {smooth_values(extents, 1)}, [&](auto const& x) { return nn::dropout(x, rate, random); },
          [&](std::vector<Dense> const& in) { return dropped(in[0].values, rate, random); });
    };
    for (double rate : {.1, .5}) {
      nn::RandomStream const random{7, (std::uint64_t{1} << 40) + 3};
      for (Extents const& extents : {Extents{3, 5, 7}, Extents{8, 4, 4}, Extents{1, 2, 1}, Extents{3, 0, 2}}) {
        check(std::type_identity<On<_, _, _>>{}, extents, rate, random);
        check(std::type_identity<On<"data", _, _>>{}, extents, rate, random);
        check(std::type_identity<On<"data,expert", _, _>>{}, extents, rate, random);
        check(std::type_identity<On<_, "expert", "data">>{}, extents, rate, random);
        check(std::type_identity<On<"expert", _, "data">>{}, extents, rate, random);
      }
      check(std::type_identity<On<"expert,data">>{}, {13}, rate, random);
      check(std::type_identity<On<>>{}, {}, rate, random);
    }
  });
}

TEST_CASE("dropout of an unreduced sum drops the same elements of every part") {
  on_every_grid([](Grid const& grid) {
    using Parts = On<"data", _, partial("expert")>;
    auto const x = filled<Parts>(grid, {3, 6}, 1, smooth);
    Values const right = dropped(dense_values_of(x, 1, smooth), .3, {1, 2});
    CHECK(difference(nn::dropout(x, .3, nn::RandomStream{1, 2}), right, 1e-12) == "");
  });
}

TEST_CASE("K2: dropout on one thread and on all, in float and bfloat16") {
  on_every_grid([](Grid const& grid) {
    auto check = [&]<class T>(T) {
      ShardedTensor<Grid, Spec<"data", _>, T> const x(grid, {5, 1001});
      gshard::detail::fill_elements<Kokkos::HostSpace>(x.data(), x.local_size(), T(1.f));
      auto const y = nn::dropout(x, .25, nn::RandomStream{3, 4});
      auto const positions = global_positions(x);
      std::int64_t differing = 0;
      for (std::size_t i = 0; i < positions.size(); ++i)
        differing += static_cast<float>(y.data()[i]) !=
                     static_cast<float>(T(static_cast<float>(factor({3, 4}, .25, positions[i]))));
      CHECK(differing == 0);
    };
    check(float{});
    check(BFloat16{});
  });
}

TEST_CASE("dropout at rate 0 and in inference is nothing: the tensor itself, and no node on the tape") {
  on_every_grid([](Grid const& grid) {
    auto const x = filled<On<"data", _>>(grid, {3, 4}, 1);
    CHECK(shares_elements(nn::dropout(x, 0, nn::RandomStream{1, 1}), x));
    CHECK(shares_elements(nn::dropout(x, .5, {}), x));
    Tape tape;
    auto const recorded = tape.watch(x);
    CHECK(nn::dropout(recorded, 0, nn::RandomStream{1, 1}).node() == recorded.node());
    CHECK(nn::dropout(recorded, .5, {}).node() == recorded.node());
    CHECK_THROWS_WITH_AS(nn::dropout(x, 1, {}), "option dropout rate = 1: give a number of at least 0 and less than 1",
                         OptionError);
    CHECK_THROWS_AS(nn::dropout(x, -.1, {}), OptionError);
    CHECK_THROWS_AS(nn::dropout(x, std::nan(""), {}), OptionError);
  });
}

TEST_CASE("dropout keeps the expectation, drops a share of `rate`, and streams are independent") {
  on_every_grid([](Grid const& grid) {
    constexpr std::int64_t count = 1 << 16;
    On<"data,expert"> const x(grid, {count});
    gshard::detail::fill_elements<Kokkos::HostSpace>(x.data(), x.local_size(), 1.0);
    for (double rate : {.1, .5, .9}) {
      INFO("rate ", rate);
      Values const first = collected(nn::dropout(x, rate, nn::RandomStream{1, 0}));
      Values const second = collected(nn::dropout(x, rate, nn::RandomStream{1, 1}));
      double sum = 0, dropped = 0, both = 0;
      for (std::size_t i = 0; i < first.size(); ++i) {
        sum += first[i];
        dropped += first[i] == 0;
        both += first[i] == 0 && second[i] == 0;
      }
      // Within four standard deviations of a count of independent events.
      auto const bound = [](double p) { return 4 * std::sqrt(p * (1 - p) / count); };
      CHECK(std::abs(dropped / count - rate) < bound(rate));
      CHECK(std::abs(sum / count - 1) < bound(rate) / (1 - rate));
      CHECK(std::abs(both / count - rate * rate) < bound(rate * rate));
    }
  });
}

TEST_CASE("the tape keeps neither the input nor a mask of dropout") {
  on_every_grid([](Grid const& grid) {
    Tape tape;
    auto x = filled<On<"data", _>>(grid, {64, 64}, 1);
    auto const leaf = tape.watch(x);
    auto const before = grid.memory().ledger().bytes_in_use();
    auto const y = nn::dropout(leaf, .5, nn::RandomStream{1, 1});
    CHECK(grid.memory().ledger().bytes_in_use() - before == y.value().local_size() * std::int64_t{sizeof(double)});
  });
}

// ---- Random streams ----

TEST_CASE("random streams: no two uses share words, over seeds, steps, layers and purposes") {
  using nn::detail::RandomPurpose;
  std::set<std::pair<std::uint64_t, std::uint64_t>> keys;
  std::size_t uses = 0;
  auto const add = [&](nn::RandomStream random) {
    ++uses;
    keys.insert({random.seed, random.stream});
  };
  for (std::uint64_t seed : {0U, 1U, 2U})
    for (std::uint64_t step = 0; step < 40; ++step) {
      nn::RandomStream const random{seed, step};
      add(random);  // numbers that a program draws by itself
      nn::detail::RandomUses layers{random};
      for (int layer = 0; layer < 30; ++layer) {
        auto const own = layers.next();
        for (auto purpose : {RandomPurpose::dropout, RandomPurpose::routing}) add(nn::detail::fold_in(own, purpose));
      }
      for (auto purpose : {RandomPurpose::dropout, RandomPurpose::routing}) add(nn::detail::fold_in(random, purpose));
      nn::detail::RandomUses weights{nn::detail::fold_in({seed, step}, RandomPurpose::weights)};
      for (int weight = 0; weight < 30; ++weight) add(weights.next());
    }
  CHECK(keys.size() == uses);
}

TEST_CASE("random streams: dropout, weights and routing of one seed are independent, and so are layers of two steps") {
  Grid const grid(runtime(), {1, ranks()});
  constexpr std::int64_t count = 1 << 16;
  On<_> const ones(grid, {count});
  gshard::detail::fill_elements<Kokkos::HostSpace>(ones.data(), ones.local_size(), 1.0);
  auto const kept = [&](nn::RandomStream random) {
    Values result = collected(nn::dropout(ones, .5, random));
    for (double& value : result) value = value == 0 ? -1 : 1;
    return result;
  };
  auto const signs_of = [&](auto const& number) {
    Values result;
    for (std::uint64_t i = 0; i < count; ++i) result.push_back(number(i) < 0 ? -1 : 1);
    return result;
  };
  // What everybody writes: a step for the stream. Its layer k + 1 and the next step's layer k are not the same.
  nn::detail::RandomUses first{{7, 0}}, second{{7, 1}};
  std::vector<Values> series;
  for (int layer = 0; layer < 3; ++layer) {
    series.push_back(kept(first.next()));
    series.push_back(kept(second.next()));
  }
  series.push_back(kept({7, 0}));
  series.push_back(collected(nn::Initializer(7).normal<On<_>>(grid, {count}, 1, "weights").value));
  for (double& value : series.back()) value = value < 0 ? -1 : 1;
  auto const routing = nn::detail::fold_in({7, 0}, nn::detail::RandomPurpose::routing);
  series.push_back(signs_of([&](std::uint64_t i) { return random_uniform(routing.seed, routing.stream, i) - .5; }));
  series.push_back(signs_of([&](std::uint64_t i) { return random_normal(7, 0, i); }));
  for (std::size_t a = 0; a < series.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) {
      double product = 0;
      for (std::size_t i = 0; i < count; ++i) product += series[a][i] * series[b][i];
      INFO("series ", a, " and ", b);
      CHECK(std::abs(product) < 5 * std::sqrt(static_cast<double>(count)));
    }
}
