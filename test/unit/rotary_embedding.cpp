// SPDX-License-Identifier: Apache-2.0
// Rotary position embeddings against loops in long double, on every mesh, with even, uneven and empty shards of the
// sequence.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include <gshard/nn/rotary_embedding.hpp>
#include <gshard/reshard/reshard.hpp>

#include "layer_test.hpp"
#include "two_ledgers.hpp"
#include "wrong_inputs.hpp"

using namespace gshard;
using namespace gshard::test;
using nn::RotaryOptions;
using nn::RotaryPairs;

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

/// x with its rows rotated by `direction` times the angles of their positions along `dimension`.
Values rotated(Dense const& x, int dimension, RotaryOptions const& options, int direction = 1) {
  auto const entries = static_cast<std::size_t>(x.extents.back());
  auto const count = static_cast<std::size_t>(options.rotated.value_or(x.extents.back()));
  auto const stride = static_cast<std::size_t>(packed_strides(x.extents)[dimension]);
  auto const positions = static_cast<std::size_t>(x.extents[dimension]);
  Values result = x.values;
  for (std::size_t row = 0; row < result.size(); row += entries) {
    auto const position =
        static_cast<long double>(options.first_position + static_cast<std::int64_t>(row / stride % positions));
    for (std::size_t i = 0; i < count / 2; ++i) {
      bool const is_halves = options.pairs == RotaryPairs::halves;
      std::size_t const first = row + (is_halves ? i : 2 * i), second = row + (is_halves ? i + count / 2 : 2 * i + 1);
      long double const exponent = -2 * static_cast<long double>(i) / static_cast<long double>(count);
      long double const angle = direction * position * std::pow(static_cast<long double>(options.base), exponent);
      long double const a = x.values[first], b = x.values[second];
      result[first] = static_cast<double>(a * std::cos(angle) - b * std::sin(angle));
      result[second] = static_cast<double>(a * std::sin(angle) + b * std::cos(angle));
    }
  }
  return result;
}

/// Options of every kind: both pairings, all entries and some, another base, a first position.
std::vector<RotaryOptions> several_options() {
  return {{},
          {.pairs = RotaryPairs::halves},
          {.base = 500, .first_position = 100, .rotated = 4},
          {.base = 500, .first_position = 100, .pairs = RotaryPairs::halves, .rotated = 4}};
}

/// Values and gradients of x (G, N, L, H, D) held as `Tensor`.
template <class Tensor>
void check_rotation(Grid const& grid, Extents const& extents, RotaryOptions const& options) {
  INFO("extents ", gshard::detail::text_of(extents), ", spec ", gshard::detail::text_of<Grid>(Tensor::layout));
  check_operation<Tensor>(
      grid, {smooth_values(extents, 1)}, [&](auto const& x) { return nn::rotary_embedding(x, options); },
      [&](std::vector<Dense> const& in) { return rotated(in[0], 2, options); });
}

}  // namespace

TEST_CASE_TEMPLATE(
    "pair i at global position l is rotated by l * base^(-2i / rotated), however the sequence is split; the gradient too",
    Tensor, On<_, _, _, _, _>, On<"data", _, "expert", _, _>, On<_, _, "data,expert", _, _>,
    On<"expert", _, _, "data", _>, On<_, "expert", "data", _, _>) {
  on_every_grid([](Grid const& grid) {
    for (RotaryOptions const& options : several_options()) check_rotation<Tensor>(grid, {2, 1, 3, 2, 6}, options);
    check_rotation<Tensor>(grid, {1, 2, 9, 1, 4}, {});
    check_rotation<Tensor>(grid, {2, 1, 1, 3, 2}, {});
    check_rotation<Tensor>(grid, {2, 1, 0, 3, 2}, {});
    check_rotation<Tensor>(grid, {2, 1, 3, 2, 0}, {});
  });
}

TEST_CASE("rows longer than the loops of a host are wide, with some entries copied") {
  on_every_grid([](Grid const& grid) {
    Extents const extents{7, 2, 84};
    auto const x = tensor_of<On<"data", "expert", _>>(grid, smooth_values(extents, 1));
    for (RotaryPairs const pairs : {RotaryPairs::interleaved, RotaryPairs::halves})
      for (std::int64_t const count : {0, 2, 50, 84}) {
        RotaryOptions const options{.pairs = pairs, .rotated = count};
        CHECK(difference(nn::rotary_embedding(x, options), rotated({extents, collected(x)}, 0, options), 1e-12) == "");
      }
  });
}

TEST_CASE("the positions are another dimension where one is named, from the start or from the end") {
  on_every_grid([](Grid const& grid) {
    Dense const dense = smooth_values({3, 5, 4}, 1);
    auto const x = tensor_of<On<"expert", "data", _>>(grid, dense);
    CHECK(difference(nn::rotary_embedding(x), rotated(dense, 0, {}), 1e-12) == "");
    CHECK(difference(nn::rotary_embedding<0>(x), rotated(dense, 0, {}), 1e-12) == "");
    CHECK(difference(nn::rotary_embedding<1>(x), rotated(dense, 1, {}), 1e-12) == "");
    CHECK(difference(nn::rotary_embedding<-2>(x), rotated(dense, 1, {}), 1e-12) == "");
    Dense const rows = smooth_values({5, 4}, 1);
    CHECK(difference(nn::rotary_embedding<0>(tensor_of<On<"data", _>>(grid, rows)), rotated(rows, 0, {}), 1e-12) == "");
  });
}

TEST_CASE("an operation that has not run is an operand too") {
  on_every_grid([](Grid const& grid) {
    Dense const dense = smooth_values({3, 2, 4}, 1);
    auto const x = tensor_of<On<"data", _, _>>(grid, dense);
    Values twice = rotated(dense, 0, {});
    for (double& value : twice) value *= 2;
    CHECK(difference(nn::rotary_embedding(x + x), twice, 1e-12) == "");
  });
}

TEST_CASE("an unreduced sum is rotated in its parts and stays one; its gradient is whole") {
  on_every_grid([](Grid const& grid) {
    using Parts = On<"data", _, _, partial("expert")>;
    using Whole = On<"data", _, _>;
    Extents const extents{3, 2, 4};
    auto const x = filled<Parts>(grid, extents, 1, smooth);
    Dense const sums{extents, dense_values_of(x, 1, smooth)};
    auto const y = nn::rotary_embedding(x);
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(y)>, Parts>);
    CHECK(difference(y, rotated(sums, 0, {}), 1e-12) == "");

    Tape tape;
    auto const leaf = tape.watch(x);
    Dense const weights = smooth_values(extents, 2);
    auto const reduced = eval(reshard<Spec<"data", _, _>>(nn::rotary_embedding(leaf)));
    tape.backward(sum(reduced * tensor_of<Whole>(grid, weights)));
    CHECK(difference(tape.gradient(leaf), rotated(weights, 0, {}, -1), 1e-12) == "");
  });
}

TEST_CASE("scores of rotated queries and keys depend on the difference of their positions alone") {
  on_every_grid([](Grid const& grid) {
    constexpr std::size_t length = 7, entries = 6;
    auto const same_at_each_position = [&](std::int64_t seed) {
      Values const row = smooth_values({entries}, seed).values;
      Dense result{{length, 1, entries}, {}};
      for (std::size_t l = 0; l < length; ++l) result.values.insert(result.values.end(), row.begin(), row.end());
      return tensor_of<On<"data,expert", _, _>>(grid, result);
    };
    auto const queries = same_at_each_position(1), keys = same_at_each_position(2);
    for (RotaryPairs const pairs : {RotaryPairs::interleaved, RotaryPairs::halves}) {
      auto const scores_from = [&](std::int64_t first_position) {
        RotaryOptions const options{.first_position = first_position, .pairs = pairs};
        Values const q = collected(nn::rotary_embedding(queries, options));
        Values const k = collected(nn::rotary_embedding(keys, options));
        Values scores(length * length);
        for (std::size_t i = 0; i < length; ++i)
          for (std::size_t j = 0; j < length; ++j)
            for (std::size_t d = 0; d < entries; ++d) scores[i * length + j] += q[i * entries + d] * k[j * entries + d];
        return scores;
      };
      Values const scores = scores_from(0);
      CHECK(difference(scores_from(12345), scores, 1e-10) == "");
      Values head, tail;
      for (std::size_t i = 0; i + 1 < length; ++i)
        for (std::size_t j = 0; j + 1 < length; ++j) {
          head.push_back(scores[i * length + j]);
          tail.push_back(scores[(i + 1) * length + j + 1]);
        }
      CHECK(difference(tail, head, 1e-12) == "");
      CHECK(std::abs(scores[0] - scores[1]) > 1e-3);
    }
  });
}

TEST_CASE("first_position: positions that come later are rotated as the tail of a longer run, bit by bit") {
  on_every_grid([](Grid const& grid) {
    constexpr std::int64_t length = 11;
    Dense const whole = smooth_values({length, 2, 4}, 1);
    for (RotaryPairs const pairs : {RotaryPairs::interleaved, RotaryPairs::halves}) {
      Values const run =
          collected(nn::rotary_embedding(tensor_of<On<"data,expert", _, _>>(grid, whole), {.pairs = pairs}));
      for (std::int64_t const first : {1, 6, 10}) {
        std::ptrdiff_t const begin = first * 8;
        Dense const rest{{length - first, 2, 4}, {whole.values.begin() + begin, whole.values.end()}};
        Values const tail(run.begin() + begin, run.end());
        CHECK(difference(nn::rotary_embedding(tensor_of<On<"data", _, _>>(grid, rest),
                                              {.first_position = first, .pairs = pairs}),
                         tail) == "");
      }
    }
  });
}

TEST_CASE_TEMPLATE("the angles are right at position 1000000, in every element type", T, double, float, BFloat16) {
  // In double an angle of 1e6 has an error of 1e-10; in float it would have one of 0.03.
  double const tolerance = std::is_same_v<T, double> ? 1e-9 : std::is_same_v<T, float> ? 3e-7 : 0x1p-8;
  on_every_grid([&](Grid const& grid) {
    using Tensor = ShardedTensor<Grid, Spec<"data", _, _>, T>;
    Extents const extents{5, 2, 64};
    Values const values = smooth_values(extents, 1).values;
    auto const x = from_vector<Tensor>(grid, extents, std::vector<T>(values.begin(), values.end()));
    for (RotaryPairs const pairs : {RotaryPairs::interleaved, RotaryPairs::halves}) {
      RotaryOptions const options{.first_position = 999'998, .pairs = pairs};
      CHECK(difference(nn::rotary_embedding(x, options), rotated({extents, collected(x)}, 0, options), tolerance) ==
            "");
    }
  });
}

TEST_CASE("the kernel of devices, one work item for each pair or copied entry, does what that of hosts does") {
  constexpr std::int64_t positions = 3, inner = 2, entries = 12, count = 2 * positions * inner * entries;
  Values const x = smooth_values({count}, 1).values;
  auto const check = [&]<class Pairs>(Pairs pairs, std::int64_t kept) {
    nn::detail::Rotation const rotation{100, 5, 2, positions, inner, entries - kept, kept, true, false};
    auto const angles = static_cast<std::size_t>(positions * rotation.pairs());
    Values cosines(angles), sines(angles), by_row(count), by_item(count);
    gshard::detail::launch<Kokkos::HostSpace>("angles", positions * rotation.pairs(),
                                              nn::detail::RotaryAngles<double>{rotation, cosines.data(), sines.data()});
    nn::detail::RotaryKernel<double, Pairs> kernel{rotation,      pairs,          x.data(),
                                                   by_row.data(), cosines.data(), sines.data()};
    gshard::detail::for_each_row<Kokkos::HostSpace>("by row", rotation.rows(), kernel);
    kernel.output = by_item.data();
    gshard::detail::launch<Kokkos::HostSpace>("by item", rotation.rows() * (rotation.pairs() + rotation.kept), kernel);
    gshard::detail::fence<Kokkos::HostSpace>("results are read");
    CHECK(difference(by_item, by_row) == "");
    CHECK(difference(Values(by_row.begin() + inner * entries, by_row.begin() + 2 * inner * entries),
                     Values(x.begin() + inner * entries, x.begin() + 2 * inner * entries)) != "");
  };
  for (std::int64_t const kept : {0, 4}) {
    check(nn::detail::InterleavedPairs{}, kept);
    check(nn::detail::HalvesPairs{(entries - kept) / 2}, kept);
  }
}

TEST_CASE("the tape keeps neither the input nor angles, and nothing is sent") {
  on_every_grid([](Grid const& grid) {
    Ledger& ledger = runtime().ledger();
    Tape tape;
    auto const leaf = tape.watch(filled<On<"data", _, "expert", _, _>>(grid, {4, 1, 16, 2, 8}, 1));
    auto const before = ledger.bytes_in_use();
    ledger.open();
    std::int64_t const sent = messages_sent();
    auto const y = nn::rotary_embedding(leaf);
    CHECK(messages_sent() == sent);
    ledger.close();
    CHECK(ledger.bytes_in_use() - before == y.value().local_size() * std::int64_t{sizeof(double)});
  });
}

TEST_CASE("without elements: the same ledger, forward and backward") {
  for (auto const& sizes : all_grids()) {
    TwoMeshes<Grid> meshes(sizes);
    check_same_ledgers(meshes, []<class Space>(std::type_identity<Space>, Grid const& grid) {
      Tape tape;
      auto const x =
          tape.watch(ShardedTensor<Grid, Spec<"data", _, "expert", _, _>, float, Space>(grid, {3, 1, 5, 2, 6}));
      tape.backward(sum(nn::rotary_embedding(x, {.rotated = 4})));
    });
  }
}

TEST_CASE("rotary_embedding of empty blocks takes no memory, whatever the other extents are") {
  on_every_grid([](Grid const& grid) {
    using X = On<"data", _, _>;
    for (Extents const& extents : {Extents{0, 1 << 20, 1 << 12}, Extents{std::int64_t{1} << 20, 1 << 20, 0}}) {
      X const x(grid, extents);
      Ledger& ledger = runtime().ledger();
      ledger.clear();
      std::int64_t const before = ledger.peak_bytes();
      CHECK(nn::rotary_embedding(x).extents() == extents);
      CHECK(ledger.peak_bytes() == before);
    }
  });
}

TEST_CASE("rotary_embedding: wrong inputs are refused on all ranks alike") {
  on_every_grid([](Grid const& grid) {
    using X = On<"data", _, _>;
    X const x(grid, {3, 2, 6});
    auto const refuse = [&](std::string_view row, RotaryOptions const& options, std::string_view words) {
      expect_refusal<OptionError>(row, [&] { nn::rotary_embedding(x, options); }, words);
    };
    expect_refusal_of_unset<X>("rotary_embedding", x, [](X const& unset) { nn::rotary_embedding(unset); });
    refuse("rotary_embedding: base 0", {.base = 0}, "option base = 0: give a finite number of 1 or more");
    refuse("rotary_embedding: base -1", {.base = -1}, "option base = -1");
    refuse("rotary_embedding: a base whose powers overflow", {.base = 1e-300}, "option base = 1e-300");
    refuse("rotary_embedding: base NaN", {.base = std::numeric_limits<double>::quiet_NaN()}, "option base = nan");
    refuse("rotary_embedding: base inf", {.base = std::numeric_limits<double>::infinity()}, "option base = inf");
    refuse("rotary_embedding: first_position -1", {.first_position = -1},
           "option first_position = -1: give a number of 0 or more");
    refuse("rotary_embedding: positions beyond the bound", {.first_position = nn::max_rotary_position - 1},
           "with all 3 positions of x below 2^40");
    refuse("rotary_embedding: positions beyond 64 bits", {.first_position = std::numeric_limits<std::int64_t>::max()},
           "option first_position = 9223372036854775807");
    refuse("rotary_embedding: 3 rotated", {.rotated = 3},
           "option rotated = 3: give an even number from 0 to 6, the last extent of x");
    refuse("rotary_embedding: 8 of 6 rotated", {.rotated = 8}, "option rotated = 8");
    refuse("rotary_embedding: -2 rotated", {.rotated = -2}, "option rotated = -2");
    expect_refusal<OptionError>(
        "rotary_embedding: odd D", [&] { nn::rotary_embedding(X(grid, {3, 2, 5})); }, "option rotated = 5",
        "an even number from 0 to 5");
    CHECK_NOTHROW(nn::rotary_embedding(X(grid, {3, 2, 5}), {.rotated = 4}));
  });
}
