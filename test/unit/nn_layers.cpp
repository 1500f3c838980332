// SPDX-License-Identifier: Apache-2.0
// The layers besides the mixture of experts, on every mesh, with even, uneven and empty shards of the tokens.
#include <cmath>
#include <cstdint>
#include <limits>

#include <gshard/nn/attention.hpp>
#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/feed_forward.hpp>
#include <gshard/nn/rms_norm.hpp>

#include "layer_test.hpp"
#include "layers.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class Spec>
using Tensor = ShardedTensor<Grid, Spec, double>;
template <AxisNames... Entries>
using On = Tensor<Spec<Entries...>>;

/// How tokens (G, S) are held: groups over both axes as in the models, over one, each dimension over an axis, and
/// whole.
template <AxisNames Groups, AxisNames Places>
struct Tokens {
  template <AxisNames... More>
  using Real = Tensor<Spec<Groups, Places, More...>>;
  using Ids = Integers<Spec<Groups, Places>>;
};

/// Groups: fewer than ranks, as many as some, and more.
constexpr std::int64_t group_counts[] = {1, 3, 8};

/// Runs `action(grid, tokens, groups)` for all of these.
template <class Action>
void on_all_tokens(Action const& action) {
  on_every_grid([&](Grid const& grid) {
    for (std::int64_t groups : group_counts) {
      INFO(groups, " groups");
      action(grid, Tokens<"data,expert", _>{}, groups);
      action(grid, Tokens<"data", "expert">{}, groups);
      action(grid, Tokens<"expert", _>{}, groups);
    }
  });
}

}  // namespace

// ---- Operations ----

TEST_CASE("embedding: rows of the table by number, zeros for padding; the table's gradient sums over all tokens") {
  on_all_tokens([]<class T>(Grid const& grid, T, std::int64_t groups) {
    constexpr int vocabulary = 5;
    auto const numbers = token_ids(groups * 4, vocabulary);
    auto const ids = integers<typename T::Ids::spec_type>(grid, {groups, 4}, numbers);
    check_operation<On<_, _>>(
        grid, {smooth_values({vocabulary, 3}, 1)}, [&](auto const& table) { return nn::embedding(table, ids, 1.5); },
        [&](std::vector<Dense> const& in) { return embedding_of(in[0], numbers, 1.5); });
  });
}

TEST_CASE("rms_norm: x / sqrt(mean(x^2) + epsilon) * gain") {
  on_all_tokens([]<class T>(Grid const& grid, T, std::int64_t groups) {
    check_operation<typename T::template Real<_>, On<_>>(
        grid, {smooth_values({groups, 4, 5}, 1), smooth_values({5}, 2)},
        [](auto const& x, auto const& gain) { return nn::rms_norm(x, gain, 1e-3); },
        [](std::vector<Dense> const& in) {
          return by_rows(in[0].values, 5, [&](double const* x, double* y) {
            double squares = 0;
            for (int i = 0; i < 5; ++i) squares += x[i] * x[i];
            for (int i = 0; i < 5; ++i)
              y[i] = x[i] / std::sqrt(squares / 5 + 1e-3) * in[1].values[static_cast<std::size_t>(i)];
          });
        });
  });
}

TEST_CASE("a norm layer starts with gains of 1") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(1);
    nn::RmsNorm<Grid, nn::Parallelism, double> norm(grid, initializer, 4);
    CHECK(difference(norm.gain.value, {1, 1, 1, 1}) == "");
    auto const x = tensor_of<On<"data", _>>(grid, {{1, 4}, {1, 1, -1, 1}});
    CHECK(difference(norm(x), {1, 1, -1, 1}, 1e-6) == "");
  });
}

TEST_CASE("split_dimension and merge_dimensions: the same elements, in the same order") {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t groups : group_counts) {
      auto const same = [](std::vector<Dense> const& in) { return in[0].values; };
      check_operation<On<"data,expert", _, _>>(
          grid, {smooth_values({groups, 6, 2}, 1)}, [](auto const& x) { return split_dimension<1>(x, 3); }, same);
      check_operation<On<"data", _, _, "expert">>(
          grid, {smooth_values({groups, 2, 3, 3}, 1)}, [](auto const& x) { return merge_dimensions<1>(x); }, same);
      auto const x = filled<On<"data", _, "expert">>(grid, {groups, 6, 2}, 1, smooth);
      auto const cut = split_dimension<1>(x, 2);
      CHECK(cut.extents() == Extents{groups, 2, 3, 2});
      CHECK(cut.data() == x.data());
      CHECK(merge_dimensions<1>(cut).extents() == x.extents());
      CHECK_THROWS_AS(split_dimension<1>(x, 4), ExtentError);
      CHECK_THROWS_AS(split_dimension<1>(x, 0), ExtentError);
    }
  });
}

TEST_CASE("from_vector: each rank takes its block") {
  on_every_grid([](Grid const& grid) {
    Values const values = dense_values({3, 4}, 1);
    CHECK(difference(from_vector<On<_, _>>(grid, {3, 4}, values), values) == "");
    CHECK(difference(from_vector<On<"data,expert", _>>(grid, {3, 4}, values), values) == "");
    CHECK(difference(from_vector<On<"expert", "data">>(grid, {3, 4}, values), values) == "");
    CHECK(difference(from_vector<On<"data">>(grid, {0}, Values{}), {}) == "");
    CHECK_THROWS_WITH_AS((from_vector<On<"data", _>>(grid, {3, 5}, values)),
                         "from_vector: 12 elements given for extents (3, 5)", ExtentError);
  });
}

// ---- Attention ----

TEST_CASE("attention weights: padding and, if causal, later places get nothing") {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t groups : group_counts)
      for (bool causal : {false, true}) {
        auto const numbers = some_lengths(groups * 2, 3);
        auto const lengths = integers<Spec<"data,expert", _>>(grid, {groups, 2}, numbers);
        auto const masking = causal ? nn::Masking::causal : nn::Masking::none;
        check_operation<On<"data,expert", _, _, _, _>>(
            grid, {smooth_values({groups, 2, 2, 3, 3}, 1)},
            [&](auto const& scores) { return nn::attention_weights(scores, lengths, .7, masking); },
            [&](std::vector<Dense> const& in) { return attention_weights_of(in[0], numbers, .7, causal); });
      }
  });
}

TEST_CASE("attention weights by hand: scores 0, ln 3") {
  on_every_grid([](Grid const& grid) {
    auto const scores = tensor_of<On<"data", _, _, _, _>>(grid, {{1, 1, 1, 2, 2}, {0, std::log(3.), 0, std::log(3.)}});
    auto weights = [&](int length, nn::Masking masking) {
      return nn::attention_weights(scores, integers<Spec<"data", _>>(grid, {1, 1}, {length}), 1, masking);
    };
    CHECK(difference(weights(2, nn::Masking::none), {.25, .75, .25, .75}, 1e-14) == "");
    CHECK(difference(weights(2, nn::Masking::causal), {1, 0, .25, .75}, 1e-14) == "");
    CHECK(difference(weights(1, nn::Masking::none), {1, 0, 1, 0}) == "");
    CHECK(difference(weights(0, nn::Masking::causal), {0, 0, 0, 0}) == "");
  });
}

TEST_CASE("attention: to itself, causal; to a memory of other length; uneven and empty shards") {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t groups : {1, 3}) {
      nn::Initializer initializer(5);
      nn::Attention<Grid, nn::Parallelism, double> layer(grid, initializer, 4, 2);
      auto const numbers = some_lengths(groups * 2, 3);
      auto const lengths = integers<Spec<"data,expert", _>>(grid, {groups, 2}, numbers);
      using X = On<"data,expert", _, _>;
      check_layer<X, X>(
          grid, layer, {smooth_values({groups, 4, 4}, 1), smooth_values({groups, 6, 4}, 2)},
          [&](auto& attention, auto const& queries, auto const& keys) {
            return attention(queries, keys, lengths, nn::Masking::none);
          },
          [&](std::vector<Dense> const& in) { return attention_of(in, numbers, 2, false); });
      check_layer<X>(
          grid, layer, {smooth_values({groups, 6, 4}, 1)},
          [&](auto& attention, auto const& x) { return attention(x, x, lengths, nn::Masking::causal); },
          [&](std::vector<Dense> in) {
            in.insert(in.begin(), in[0]);
            return attention_of(in, numbers, 2, true);
          });
    }
  });
}

TEST_CASE("attention: all its weights learn where queries or keys alone are recorded") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(5);
    nn::Attention<Grid, nn::Parallelism, double> layer(grid, initializer, 4, 2);
    auto const lengths = integers<Spec<"data,expert", _>>(grid, {3, 2}, some_lengths(6, 3));
    check_recorded_combinations(
        layer,
        [&](auto& attention, auto const& queries, auto const& keys) {
          return attention(queries, keys, lengths, nn::Masking::none);
        },
        tensor_of<On<"data,expert", _, _>>(grid, smooth_values({3, 4, 4}, 1)),
        tensor_of<On<"data,expert", _, _>>(grid, smooth_values({3, 6, 4}, 2)));
  });
}

TEST_CASE("attention: a model that does not divide into heads is refused") {
  Grid const grid(runtime(), {1, ranks()});
  nn::Initializer initializer(5);
  CHECK_THROWS_WITH_AS((nn::Attention<Grid, nn::Parallelism, double>(grid, initializer, 6, 4)),
                       "option heads = 4: give a divisor of the model's 6, or a head_size beside it", OptionError);
  CHECK_THROWS_AS((nn::Attention<Grid, nn::Parallelism, double>(grid, initializer, 6, 0)), OptionError);
}

// ---- Feed-forward ----

TEST_CASE("feed-forward: relu(x wi) wo") {
  on_all_tokens([]<class T>(Grid const& grid, T, std::int64_t groups) {
    nn::Initializer initializer(6);
    nn::FeedForward<Grid, nn::Parallelism, double> layer(grid, initializer, 3, 5);
    check_layer<typename T::template Real<_>>(
        grid, layer, {smooth_values({groups, 2, 3}, 1)},
        [](auto& feed_forward, auto const& x) { return feed_forward(x); },
        [](std::vector<Dense> const& in) { return feed_forward_of(in); });
  });
}

// ---- Cross entropy ----

TEST_CASE("cross entropy: the mean over all real tokens, wherever they are") {
  on_all_tokens([]<class T>(Grid const& grid, T, std::int64_t groups) {
    auto const numbers = token_ids(groups * 4, 5);
    auto const targets = integers<typename T::Ids::spec_type>(grid, {groups, 4}, numbers);
    double const tokens =
        static_cast<double>(std::count_if(numbers.begin(), numbers.end(), [](int id) { return id >= 0; }));
    for (double smoothing : {0., .1})
      check_operation<typename T::template Real<_>>(
          grid, {smooth_values({groups, 4, 5}, 1)},
          [&](auto const& logits) { return nn::cross_entropy(logits, targets, tokens, smoothing); },
          [&](std::vector<Dense> const& in) { return Values{cross_entropy_of(in[0].values, numbers, 5, smoothing)}; });
  });
}

TEST_CASE("cross entropy by hand: T31, J2 with a padding place, J1 with short and long shares") {
  double const small = std::log(std::exp(1.) - 1), large = std::log(std::exp(4.) - 1);
  std::vector<int> const uneven_targets = {0, 0, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  Values uneven_logits;
  for (int token = 0; token < 16; ++token) uneven_logits.insert(uneven_logits.end(), {0, token < 8 ? small : large});
  struct Case {
    Extents extents;
    Values logits;
    std::vector<int> targets;
    double tokens, smoothing, right;
  };
  Values const j2 = {std::log(.7), std::log(.1), std::log(.1), std::log(.1), 9, 9, 9, 9};
  Case const cases[] = {
      {{1, 1, 4}, {2, 1, 0, -1}, {1}, 1, .1, 1.490189698561195},
      {{1, 1, 4}, {2, 1, 0, -1}, {1}, 1, 0, 1.4401896985611953},
      {{2, 1, 4}, j2, {0, -1}, 1, .1, .5026182563},
      {{2, 1, 4}, j2, {0, -1}, 1, 0, -std::log(.7)},
      {{2, 8, 2}, uneven_logits, uneven_targets, 10, 0, 3.4},
  };
  on_every_grid([&](Grid const& grid) {
    for (Case const& c : cases) {
      auto const logits = tensor_of<On<"data,expert", _, _>>(grid, {c.extents, c.logits});
      auto const targets = integers<Spec<"data,expert", _>>(grid, {c.extents[0], c.extents[1]}, c.targets);
      CHECK(difference(nn::cross_entropy(logits, targets, c.tokens, c.smoothing), {c.right}, 1e-6) == "");
    }
  });
}

// ---- Parameters ----

TEST_CASE("K1, K2: initial values are those of the global index, whatever the mesh, the spec and the threads") {
  auto const numbers = [](std::uint64_t use, double deviation) {
    auto const random = nn::fold_in(nn::detail::fold_in({7, 0}, nn::detail::RandomPurpose::weights), use);
    Values result;
    for (std::uint64_t i = 0; i < 8; ++i)
      result.push_back(deviation * random_normal<double>(random.seed, random.stream, i));
    return result;
  };
  Values const right = numbers(0, .5), second = numbers(1, 2);
  on_every_grid([&](Grid const& grid) {
    auto check = [&]<class Made>(std::type_identity<Made>) {
      nn::Initializer initializer(7);
      CHECK(difference(initializer.normal<Made>(grid, {2, 4}, .5, "first").value, right) == "");
      CHECK(difference(initializer.constant<Made>(grid, {2, 4}, 3, "constant").value, Values(8, 3)) == "");
      CHECK(difference(initializer.normal<Made>(grid, {2, 4}, 2, "second").value, second) == "");
    };
    check(std::type_identity<On<_, _>>{});
    check(std::type_identity<On<"data", _>>{});
    check(std::type_identity<On<_, "expert">>{});
    check(std::type_identity<On<"expert", "data">>{});
    check(std::type_identity<On<_, "data,expert">>{});
  });
}
