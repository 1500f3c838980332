// SPDX-License-Identifier: Apache-2.0
// Layers of which axes of the mesh split heads, hidden units and vocabulary, or keep the weights in pieces: values and
// gradients as those of plain loops.
#include <cmath>
#include <cstdint>

#include <gshard/nn/attention.hpp>
#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/feed_forward.hpp>

#include "layer_test.hpp"
#include "layers.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class Spec>
using Tensor = ShardedTensor<Grid, Spec, double>;
template <AxisNames... Entries>
using On = Tensor<Spec<Entries...>>;

// The axis "expert" stands for any second axis.
struct ByModel : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "expert";
};
struct ByModelAlone : nn::Parallelism {
  static constexpr AxisNames model = "data,expert";
};
struct FullySharded : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", parameters = "data,expert";
};
struct ByModelSharded : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "expert", parameters = "data";
};
struct ShardedBesideTokens : nn::Parallelism {
  static constexpr AxisNames tokens = "data", parameters = "expert";
};

/// Runs `action(grid, layout)` for all of these on every mesh.
template <class Action>
void on_all_layouts(Action const& action) {
  on_every_grid([&](Grid const& grid) {
    action(grid, ByModel{});
    action(grid, ByModelAlone{});
    action(grid, FullySharded{});
    action(grid, ByModelSharded{});
    action(grid, ShardedBesideTokens{});
  });
}

}  // namespace

TEST_CASE("attention with split heads, fewer than ranks and uneven; with weights in pieces") {
  on_all_layouts([]<class Layout>(Grid const& grid, Layout) {
    nn::Initializer initializer(5);
    nn::Attention<Grid, Layout, double> layer(grid, initializer, 6, 3);
    auto const numbers = some_lengths(3 * 2, 3);
    auto const lengths = integers<Spec<Layout::tokens, _>>(grid, {3, 2}, numbers);
    using X = Tensor<Spec<Layout::tokens, _, _>>;
    check_layer<X, X>(
        grid, layer, {smooth_values({3, 4, 6}, 1), smooth_values({3, 6, 6}, 2)},
        [&](auto& attention, auto const& queries, auto const& keys) {
          return attention(queries, keys, lengths, nn::Masking::none);
        },
        [&](std::vector<Dense> const& in) { return attention_of(in, numbers, 2, false); });
  });
}

namespace {

// Layouts of tokens (G, N, L, M): axes that split the groups, and those that split the places of a sentence.
template <AxisNames Groups, AxisNames PlacesOf, class Weights>
struct PlacesSplit {
  static constexpr AxisNames groups = Groups, places = PlacesOf;
  using layout = Weights;
};

}  // namespace

TEST_CASE(
    "attention with split places: keys and values are gathered, causal masking counts from the beginning of the sentence") {
  on_every_grid([](Grid const& grid) {
    auto const check = [&]<class Case>(Case) {
      nn::Initializer initializer(5);
      nn::Attention<Grid, typename Case::layout, double> layer(grid, initializer, 4, 2);
      auto const numbers = some_lengths(3 * 2, 5);
      auto const lengths = integers<Spec<Case::groups, _>>(grid, {3, 2}, numbers);
      using X = Tensor<Spec<Case::groups, _, Case::places, _>>;
      auto const merged = [](std::vector<Dense> in, std::size_t tokens) {
        for (std::size_t i = 0; i < tokens; ++i) in[i].extents = {3, in[i].extents[1] * in[i].extents[2], 4};
        return in;
      };
      check_layer<X, X>(
          grid, layer, {smooth_values({3, 2, 3, 4}, 1), smooth_values({3, 2, 5, 4}, 2)},
          [&](auto& attention, auto const& queries, auto const& keys) {
            return attention(queries, keys, lengths, nn::Masking::none);
          },
          [&](std::vector<Dense> const& in) { return attention_of(merged(in, 2), numbers, 2, false); });
      check_layer<X>(
          grid, layer, {smooth_values({3, 2, 5, 4}, 1)},
          [&](auto& attention, auto const& x) { return attention(x, x, lengths, nn::Masking::causal); },
          [&](std::vector<Dense> in) {
            in.insert(in.begin(), in[0]);
            return attention_of(merged(in, 2), numbers, 2, true);
          });
    };
    check(PlacesSplit<_, _, nn::Parallelism>{});
    check(PlacesSplit<_, "expert", nn::Parallelism>{});
    check(PlacesSplit<"data", "expert", nn::Parallelism>{});
    check(PlacesSplit<_, "data,expert", FullySharded>{});
    check(PlacesSplit<_, "data", ByModel>{});
  });
}

TEST_CASE("attention with split places moves keys and values, and in its backward pass brings their gradients back") {
  Grid const grid(runtime(), {1, ranks()});
  int const moves = ranks() > 1 ? 1 : 0;
  nn::Initializer initializer(5);
  nn::Attention<Grid, nn::Parallelism, double> layer(grid, initializer, 4, 2);
  auto const lengths = integers<Spec<_, _>>(grid, {1, 2}, {8, 5});
  using X = On<_, _, "expert", _>;
  Ledger& ledger = grid.memory().ledger();
  ledger.clear();
  ledger.open();
  Tape tape;
  auto const x = tape.watch(filled<X>(grid, {1, 2, 8, 4}, 1));
  auto const result = layer(x, x, lengths, nn::Masking::causal);
  CHECK(ledger.calls(Collective::all_gather) == 2 * moves);
  CHECK(ledger.traffic().size() == static_cast<std::size_t>(moves));
  ledger.clear();
  tape.backward(result, filled<X>(grid, {1, 2, 8, 4}, 2));
  // keys for the gradient of queries, values for that of the weights
  CHECK(ledger.calls(Collective::all_gather) == 2 * moves);
  CHECK(ledger.calls(Collective::reduce_scatter) == 2 * moves);  // of keys and of values
  CHECK(ledger.calls(Collective::all_reduce) == 4 * moves);      // of the four projections, as in data parallelism
  CHECK(ledger.calls(Collective::all_to_all) == 0);
  ledger.close();
}

TEST_CASE(
    "attention with split heads reduces its result once, and the gradient of its input once, however often it is used") {
  Grid const grid(runtime(), {1, ranks()});
  int const moves = ranks() > 1 ? 1 : 0;
  nn::Initializer initializer(5);
  nn::Attention<Grid, ByModel, double> layer(grid, initializer, 8, 8);
  auto const lengths = integers<Spec<"data", _>>(grid, {1, 2}, {3, 2});
  using X = On<"data", _, _>;
  Ledger& ledger = grid.memory().ledger();
  ledger.clear();
  ledger.open();
  Tape tape;
  auto const x = tape.watch(filled<X>(grid, {1, 6, 8}, 1));
  auto const result = layer(x, x, lengths, nn::Masking::causal);
  CHECK(ledger.calls(Collective::all_reduce) == moves);
  tape.backward(result, filled<X>(grid, {1, 6, 8}, 2));
  CHECK(ledger.calls(Collective::all_reduce) == 2 * moves);
  CHECK(ledger.traffic().size() == static_cast<std::size_t>(moves));
  ledger.close();
}

TEST_CASE("feed-forward with split hidden units, and with weights in pieces") {
  on_all_layouts([]<class Layout>(Grid const& grid, Layout) {
    for (std::int64_t hidden : {2, 5}) {
      nn::Initializer initializer(6);
      nn::FeedForward<Grid, Layout, double> layer(grid, initializer, 3, hidden);
      check_layer<Tensor<Spec<Layout::tokens, _, _>>>(
          grid, layer, {smooth_values({3, 2, 3}, 1)}, [](auto& feed_forward, auto const& x) { return feed_forward(x); },
          [](std::vector<Dense> const& in) { return feed_forward_of(in); });
    }
  });
}

TEST_CASE("embedding: a table split by entries, by rows in pieces, or both") {
  on_every_grid([](Grid const& grid) {
    for (int vocabulary : {3, 7}) {
      auto const numbers = token_ids(3 * 4, vocabulary);
      auto const check = [&]<AxisNames Tokens, AxisNames Entries, AxisNames Pieces>() {
        auto const ids = integers<Spec<Tokens, _>>(grid, {3, 4}, numbers);
        check_operation<On<Entries, Pieces>>(
            grid, {smooth_values({vocabulary, 3}, 1)},
            [&](auto const& table) { return reshard<Spec<Tokens, _, _>>(nn::embedding(movable(table), ids, 1.5)); },
            [&](std::vector<Dense> const& in) { return embedding_of(in[0], numbers, 1.5); });
      };
      check.template operator()<"data", "expert", _>();
      check.template operator()<"data", "expert", "data">();
      check.template operator()<"data,expert", _, "data,expert">();
      check.template operator()<"data", _, "expert">();
      check.template operator()<_, "expert,data", _>();
    }
  });
}

TEST_CASE("cross entropy over a split vocabulary, with smoothing and z-loss") {
  on_every_grid([](Grid const& grid) {
    for (int vocabulary : {3, 7}) {
      auto const numbers = token_ids(3 * 4, vocabulary);
      double const tokens =
          static_cast<double>(std::count_if(numbers.begin(), numbers.end(), [](int id) { return id >= 0; }));
      auto const check = [&]<AxisNames Tokens, AxisNames Entries>(double smoothing, double z_loss) {
        auto const targets = integers<Spec<Tokens, _>>(grid, {3, 4}, numbers);
        check_operation<On<Tokens, _, Entries>>(
            grid, {smooth_values({3, 4, vocabulary}, 1)},
            [&](auto const& logits) { return nn::cross_entropy(logits, targets, tokens, smoothing, z_loss); },
            [&](std::vector<Dense> const& in) {
              return Values{cross_entropy_of(in[0].values, numbers, vocabulary, smoothing, z_loss)};
            });
      };
      for (double smoothing : {0., .1})
        for (double z_loss : {0., .3}) {
          check.template operator()<"data", "expert">(smoothing, z_loss);
          check.template operator()<_, "expert,data">(smoothing, z_loss);
          check.template operator()<"data,expert", _>(smoothing, z_loss);
        }
    }
  });
}

TEST_CASE("T31 over a split vocabulary; exact for logits about 1e4 too") {
  struct Case {
    Values logits;
    int target;
    double smoothing, right;
  };
  Case const cases[] = {{{2, 1, 0, -1}, 1, .1, 1.490189698561195},
                        {{2, 1, 0, -1}, 1, 0, 1.4401896985611953},
                        {{10002, 10001, 10000, 9999}, 1, 0, 1.4401896985611953}};
  on_every_grid([&](Grid const& grid) {
    for (Case const& c : cases) {
      auto const logits = tensor_of<On<_, _, "expert,data">>(grid, {{1, 1, 4}, c.logits});
      auto const targets = integers<Spec<_, _>>(grid, {1, 1}, {c.target});
      CHECK(difference(nn::cross_entropy(logits, targets, 1, c.smoothing), {c.right}, 1e-12) == "");
      // In float, were the maximum not subtracted first, the loss would be off by 1e-3.
      std::vector<float> const rounded(c.logits.begin(), c.logits.end());
      auto const single = from_vector<ShardedTensor<Grid, Spec<_, _, "expert,data">, float>>(grid, {1, 1, 4}, rounded);
      CHECK(difference(nn::cross_entropy(single, targets, 1, c.smoothing), {c.right}, c.smoothing == 0 ? 1e-6 : 1e-5) ==
            "");
    }
  });
}

TEST_CASE(
    "what is sent, on 4 x 2 devices: nothing is gathered but weights that are in pieces, whose gradients are reduce-scattered") {
  using Tokens = On<"data", _, _>;
  using Hidden = On<"data", _, "expert">;
  using Split = nn::FeedForward<Grid, ByModel, double>;
  static_assert(plan_of<"gsm,mh->gsh", Tokens, Movable<Split::In>>.total() == 0);
  static_assert(plan_of<"gsh,hm->gsm", Hidden, Movable<Split::Out>, Tokens>.all_reduce == 1);
  static_assert(plan_of<"gsh,hm->gsm", Hidden, Movable<Split::Out>, Tokens>.total() == 1);
  AbstractRuntime machine;
  Grid const grid(machine, {4, 2});
  nn::Initializer initializer(6);
  auto const calls = [&](Collective collective, auto const& action) {
    auto const before = machine.ledger().calls(collective);
    action();
    return machine.ledger().calls(collective) - before;
  };
  auto const learn = [&]<class Layout>(Layout) {
    nn::FeedForward<Grid, Layout, float, AbstractSpace> layer(grid, initializer, 8, 16);
    using X = ShardedTensor<Grid, Spec<Layout::tokens, _, _>, float, AbstractSpace>;
    Tape tape;
    auto const y = layer(tape.watch(X(grid, {8, 2, 8})));
    tape.backward(y, X(grid, {8, 2, 8}));
  };
  auto const in_pieces = [&] { learn(FullySharded{}); };
  CHECK(calls(Collective::all_gather, in_pieces) == 2 + 2);  // of each weight, forward and backward
  CHECK(calls(Collective::reduce_scatter, in_pieces) == 2);
  CHECK(calls(Collective::all_reduce, in_pieces) == 0);
  auto const by_model = [&] { learn(ByModel{}); };
  CHECK(calls(Collective::all_gather, by_model) == 0);
  // the result and the gradient of x over the model, those of both weights over the data
  CHECK(calls(Collective::all_reduce, by_model) == 2 + 2);
  auto const loss = [&] {
    using Logits = ShardedTensor<Grid, Spec<"data", _, "expert">, float, AbstractSpace>;
    (void)nn::cross_entropy(Logits(grid, {8, 2, 32}),
                            ShardedTensor<Grid, Spec<"data", _>, int, AbstractSpace>(grid, {8, 2}), 16, .1);
  };
  CHECK(calls(Collective::all_gather, loss) == 0);
  CHECK(calls(Collective::all_reduce, loss) == 4);  // the targets' check, maxima, sums, and the mean over the tokens
}
