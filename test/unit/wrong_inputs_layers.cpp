// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of the layers: each call is refused by one exception on all ranks. Rows that the types decide (a tensor
// split otherwise, an unreduced sum, other elements) are files of compile_fail.
#include <limits>
#include <optional>
#include <vector>

#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/transformer/decoding.hpp>

#include "layer_test.hpp"
#include "sentences.hpp"
#include "wrong_inputs.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;
using Ints = Integers<Spec<"data", _>>;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Runs the rows on every mesh, with another mesh of the same sizes beside it.
template <class Rows>
void on_two_grids(Rows const& rows) {
  on_every_grid([&](Grid const& grid) { rows(grid, Grid(runtime(), {grid.size<"data">(), grid.size<"expert">()})); });
}

}  // namespace

// ---- Operations ----

TEST_CASE("cross_entropy: targets that are not those of the logits, and numbers that are none") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    On<"data", _, _> const whole(grid, {2, 3, 5}, "scores");
    On<"data", _, "expert"> const split(grid, {2, 3, 5}, "scores");
    Ints const targets(grid, {2, 3});
    auto const rows = [&](auto const& logits) {
      using Logits = std::remove_cvref_t<decltype(logits)>;
      expect_refusal<StateError>(
          "cross_entropy: unset logits", [&] { nn::cross_entropy(Logits{}, targets, 6); },
          "cross_entropy: logits (unset)");
      expect_refusal<StateError>(
          "cross_entropy: unset targets", [&] { nn::cross_entropy(logits, Ints{}, 6); }, "targets (unset)");
      expect_refusal<MeshError>(
          "cross_entropy: targets of another mesh", [&] { nn::cross_entropy(logits, Ints(other, {2, 3}), 6); },
          "targets (2, 3)");
      expect_refusal<ExtentError>(
          "cross_entropy: fewer targets", [&] { nn::cross_entropy(logits, Ints(grid, {2, 2}), 6); },
          "dimension 1 of targets (2, 2)", "logits 'scores' (2, 3, 5)");
      expect_refusal<ExtentError>(
          "cross_entropy: more groups of targets", [&] { nn::cross_entropy(logits, Ints(grid, {3, 3}), 6); },
          "dimension 0 of targets");
      expect_refusal<IndexError>(
          "cross_entropy: a target of V",
          [&] { nn::cross_entropy(logits, integers<Spec<"data", _>>(grid, {2, 3}, {0, 1, 2, 3, 5, -1}), 5); },
          "element (1, 1) of targets", "is 5", "[0, 5)");
      expect_refusal<OptionError>(
          "cross_entropy: tokens NaN", [&] { nn::cross_entropy(logits, targets, not_a_number); },
          "option tokens = nan");
      expect_refusal<OptionError>(
          "cross_entropy: tokens -1", [&] { nn::cross_entropy(logits, targets, -1); }, "option tokens = -1");
      expect_refusal<OptionError>(
          "cross_entropy: smoothing 1.5", [&] { nn::cross_entropy(logits, targets, 6, 1.5); }, "option smoothing = 1.5",
          "from 0 to 1");
      expect_refusal<OptionError>(
          "cross_entropy: smoothing NaN", [&] { nn::cross_entropy(logits, targets, 6, not_a_number); },
          "option smoothing = nan");
      expect_refusal<OptionError>(
          "cross_entropy: z_loss -1", [&] { nn::cross_entropy(logits, targets, 6, 0, -1); }, "option z_loss = -1");
      expect_refusal<OptionError>(
          "cross_entropy: z_loss inf", [&] { nn::cross_entropy(logits, targets, 6, 0, infinity); },
          "option z_loss = inf");
    };
    rows(whole);
    rows(split);
    using Rounded = ShardedTensor<Grid, Spec<"data", _, _>, BFloat16>;
    expect_refusal<StateError>(
        "cross_entropy: unset logits of bfloat16", [&] { nn::cross_entropy(Rounded{}, targets, 6); }, "logits (unset)");
    expect_refusal<ExtentError>(
        "cross_entropy: fewer targets of bfloat16",
        [&] { nn::cross_entropy(Rounded(grid, {2, 3, 5}), Ints(grid, {2, 2}), 6); }, "targets");
  });
}

TEST_CASE("layer_norm, rms_norm: gains and biases of other lengths") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    On<"data", _> const x(grid, {3, 4});
    On<_> const good(grid, {4}), few(grid, {3}), many(grid, {5}), elsewhere(other, {4});
    auto const refused_gain = [&](char const* name, auto const& norm) {
      std::string const row = std::string(name) + ": ";
      expect_refusal<StateError>(row + "unset x", [&] { norm(On<"data", _>{}, good); }, "x (unset)");
      expect_refusal<StateError>(row + "unset gain", [&] { norm(x, On<_>{}); }, "gain (unset)");
      expect_refusal<MeshError>(row + "gain of another mesh", [&] { norm(x, elsewhere); }, "gain (4)");
      expect_refusal<ExtentError>(row + "short gain", [&] { norm(x, few); }, "dimension 0 of gain (3)", "x (3, 4)");
      expect_refusal<ExtentError>(row + "long gain", [&] { norm(x, many); }, "dimension 0 of gain (5)");
    };
    refused_gain("rms_norm", [](auto const& in, auto const& gain) { nn::rms_norm(in, gain); });
    refused_gain("layer_norm", [&](auto const& in, auto const& gain) { nn::layer_norm(in, gain, good); });
    expect_refusal<StateError>("layer_norm: unset bias", [&] { nn::layer_norm(x, good, On<_>{}); }, "bias (unset)");
    expect_refusal<MeshError>("layer_norm: bias of another mesh", [&] { nn::layer_norm(x, good, elsewhere); }, "bias");
    expect_refusal<ExtentError>("layer_norm: short bias", [&] { nn::layer_norm(x, good, few); }, "bias (3)");
    for (double epsilon : {0., -1., infinity, not_a_number}) {
      expect_refusal<OptionError>("rms_norm: epsilon", [&] { nn::rms_norm(x, good, epsilon); }, "option epsilon");
      expect_refusal<OptionError>(
          "layer_norm: epsilon", [&] { nn::layer_norm(x, good, good, epsilon); }, "option epsilon");
    }
  });
}

TEST_CASE("embedding: ids of V and more") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    On<_, _> const table(grid, {5, 2});
    On<"expert", _> const by_entry(grid, {5, 2});
    On<_, "data"> const by_column(grid, {5, 2});
    Ints const ids = integers<Spec<"data", _>>(grid, {2, 2}, {0, -1, 4, 1});
    expect_refusal<StateError>("embedding: unset table", [&] { nn::embedding(On<_, _>{}, ids); }, "table (unset)");
    expect_refusal<StateError>("embedding: unset ids", [&] { nn::embedding(table, Ints{}); }, "ids (unset)");
    expect_refusal<MeshError>(
        "embedding: ids of another mesh", [&] { nn::embedding(table, Ints(other, {2, 2})); }, "ids");
    for (int id : {5, 6, std::numeric_limits<int>::max()}) {
      Ints const wrong = integers<Spec<"data", _>>(grid, {2, 2}, {0, -1, 4, id});
      expect_refusal<IndexError>(
          "embedding: id of V or more", [&] { nn::embedding(table, wrong); }, "element (1, 1) of ids", "[0, 5)");
      expect_refusal<IndexError>(
          "embedding: id of V or more, entries split", [&] { nn::embedding(by_entry, wrong); }, "element (1, 1) of ids",
          "[0, 5)");
      expect_refusal<IndexError>(
          "embedding: id of V or more, gathered rows", [&] { nn::embedding(movable(by_column), wrong); },
          "element (1, 1) of ids");
    }
    expect_refusal<IndexError>(
        "embedding: an id in a table of none", [&] { nn::embedding(On<_, _>(grid, {0, 2}), ids); }, "[0, 0)");
    expect_refusal<OptionError>(
        "embedding: scale NaN", [&] { nn::embedding(table, ids, not_a_number); }, "option scale = nan");
  });
}

TEST_CASE("attention_weights, zero_padding_by_lengths: lengths of other sentences") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    On<"data", _, _, _, _> const scores(grid, {2, 3, 1, 2, 2});
    auto const weights = [](auto const& in, auto const& lengths, double scale = 1) {
      nn::attention_weights(in, lengths, scale, nn::Masking::none);
    };
    Ints const lengths(grid, {2, 3});
    expect_refusal<StateError>(
        "attention_weights: unset scores", [&] { weights(On<"data", _, _, _, _>{}, lengths); }, "scores (unset)");
    expect_refusal<StateError>(
        "attention_weights: unset lengths", [&] { weights(scores, Ints{}); }, "key_lengths (unset)");
    expect_refusal<MeshError>(
        "attention_weights: lengths of another mesh", [&] { weights(scores, Ints(other, {2, 3})); }, "key_lengths");
    expect_refusal<ExtentError>(
        "attention_weights: fewer groups", [&] { weights(scores, Ints(grid, {1, 3})); },
        "dimension 0 of key_lengths (1, 3)");
    expect_refusal<ExtentError>(
        "attention_weights: fewer sentences", [&] { weights(scores, Ints(grid, {2, 2})); },
        "dimension 1 of key_lengths (2, 2)");
    expect_refusal<OptionError>(
        "attention_weights: scale inf", [&] { weights(scores, lengths, infinity); }, "option scale = inf");

    On<"data", _, _> const x(grid, {2, 6, 2});
    expect_refusal<StateError>(
        "zero_padding_by_lengths: unset x", [&] { nn::zero_padding_by_lengths(On<"data", _, _>{}, lengths); },
        "x (unset)");
    expect_refusal<StateError>(
        "zero_padding_by_lengths: unset lengths", [&] { nn::zero_padding_by_lengths(x, Ints{}); }, "lengths (unset)");
    expect_refusal<MeshError>(
        "zero_padding_by_lengths: lengths of another mesh",
        [&] { nn::zero_padding_by_lengths(x, Ints(other, {2, 3})); }, "lengths");
    expect_refusal<ExtentError>(
        "zero_padding_by_lengths: fewer groups", [&] { nn::zero_padding_by_lengths(x, Ints(grid, {1, 3})); },
        "dimension 0 of lengths (1, 3)");
    expect_refusal<ExtentError>(
        "zero_padding_by_lengths: sentences that do not divide",
        [&] { nn::zero_padding_by_lengths(x, Ints(grid, {2, 4})); }, "multiple of 4");
    expect_refusal<ExtentError>(
        "zero_padding_by_lengths: no sentences", [&] { nn::zero_padding_by_lengths(x, Ints(grid, {2, 0})); },
        "multiple of 0");
    expect_refusal<ExtentError>(
        "zero_padding_by_lengths: fewer sentences",
        [&] { nn::zero_padding_by_lengths(On<"data", _, "expert", _>(grid, {2, 3, 2, 2}), Ints(grid, {2, 2})); },
        "dimension 1 of lengths (2, 2)");
  });
}

TEST_CASE("attend_cached, remember: caches of other groups, heads and places") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    using Places = On<"data", _, _, _, _>;
    using Rows = On<"data", _, _, _>;
    auto const cache_of = [&](Extents const& extents) {
      return nn::AttentionCache<Places>{Places(grid, extents), Places(grid, extents)};
    };
    auto const cache = cache_of({2, 3, 4, 2, 2});
    Rows const rows(grid, {2, 3, 2, 2});
    Ints const real(grid, {2, 3});
    using Cached = nn::detail::CachedPlaces<Kokkos::HostSpace>;
    Cached const all{3, 4, 4};
    auto const attend = [&](Rows const& queries, auto const& of, Ints const& mask, Cached const& cached) {
      return [&, cached] { nn::attend_cached(queries, of, mask, cached); };
    };
    Rows const unset{}, elsewhere(other, {2, 3, 2, 2}), heads(grid, {2, 3, 1, 2}), sizes(grid, {2, 3, 2, 1});
    Ints const no_mask{}, small_mask(grid, {2, 2});
    nn::AttentionCache<Places> const no_cache{};
    nn::AttentionCache<Places> const uneven{cache.keys, Places(grid, {2, 3, 3, 2, 2})};
    expect_refusal<StateError>("attend_cached: unset queries", attend(unset, cache, real, all), "queries (unset)");
    expect_refusal<StateError>("attend_cached: unset mask", attend(rows, cache, no_mask, all), "real (unset)");
    expect_refusal<StateError>("attend_cached: unset cache", attend(rows, no_cache, real, all), "cached keys (unset)");
    expect_refusal<MeshError>("attend_cached: another mesh", attend(elsewhere, cache, Ints(other, {2, 3}), all),
                              "queries");
    expect_refusal<ExtentError>("attend_cached: values unlike keys", attend(rows, uneven, real, all), "cached values");
    expect_refusal<ExtentError>("attend_cached: other heads", attend(heads, cache, real, all),
                                "dimension 2 of queries");
    expect_refusal<ExtentError>("attend_cached: other sizes", attend(sizes, cache, real, all),
                                "dimension 3 of queries");
    expect_refusal<ExtentError>("attend_cached: other mask", attend(rows, cache, small_mask, all), "real (2, 2)");
    expect_refusal<ExtentError>("attend_cached: more places than there are", attend(rows, cache, real, {3, 4, 5}),
                                "5 places");
    expect_refusal<ExtentError>("attend_cached: places below 0", attend(rows, cache, real, {3, 4, -1}), "-1 places");
    expect_refusal<ExtentError>("attend_cached: other capacity", attend(rows, cache, real, {3, 5, 4}), "4 places");
    expect_refusal<ExtentError>("attend_cached: share that does not fit", attend(rows, cache, real, {3, 4, 4, 2}),
                                "seen by 2");

    auto const remember = [&](std::int64_t place, Rows const& keys, Rows const& values) {
      return [&, place] { nn::remember(cache, place, keys, values, real); };
    };
    expect_refusal<StateError>("remember: unset keys", remember(0, unset, rows), "keys (unset)");
    expect_refusal<StateError>("remember: unset values", remember(0, rows, unset), "values (unset)");
    expect_refusal<ExtentError>("remember: values unlike keys", remember(0, rows, heads), "values");
    expect_refusal<ExtentError>("remember: other heads", remember(0, heads, heads), "dimension 2 of keys");
    expect_refusal<IndexError>("remember: a place below 0", remember(-1, rows, rows),
                               "place -1 of a cache of 4 places");
    expect_refusal<IndexError>("remember: a place too far", remember(4, rows, rows), "place 4 of a cache of 4 places");
    expect_refusal<ExtentError>(
        "remember: fewer sentences than the cache",
        [&] {
          Rows const two(grid, {2, 2, 2, 2});
          nn::remember(cache, 0, two, two, small_mask);
        },
        "dimension 1 of keys (2, 2, 2, 2)");
  });
}

TEST_CASE("dropout: rates outside [0, 1)") {
  on_every_grid([](Grid const& grid) {
    On<"data", _> const x(grid, {3, 4});
    for (double rate : {1., -.1, 2., infinity, not_a_number})
      expect_refusal<OptionError>(
          "dropout: rate", [&] { nn::dropout(x, rate, nn::RandomStream{1, 1}); }, "option dropout rate = ");
    expect_refusal<StateError>(
        "dropout: unset x", [&] { nn::dropout(On<"data", _>{}, .1, nn::RandomStream{1, 1}); }, "dropout: x (unset)");
  });
}

// ---- Layers ----

TEST_CASE("layers of no size") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(1);
    using Norm = nn::RmsNorm<Grid, nn::Parallelism, double>;
    using LayerNorm = nn::LayerNorm<Grid, nn::Parallelism, double>;
    using Dense = nn::FeedForward<Grid, nn::Parallelism, double>;
    using Attention = nn::Attention<Grid, nn::Parallelism, double>;
    for (std::int64_t size : {0, -4}) {
      std::string const value = " = " + std::to_string(size) + ": give 1 or more";
      expect_refusal<OptionError>("RmsNorm: model", [&] { Norm(grid, initializer, size); }, "option model" + value);
      expect_refusal<OptionError>(
          "LayerNorm: model", [&] { LayerNorm(grid, initializer, size); }, "option model" + value);
      expect_refusal<OptionError>(
          "FeedForward: model", [&] { Dense(grid, initializer, size, 2); }, "option model" + value);
      expect_refusal<OptionError>(
          "FeedForward: hidden", [&] { Dense(grid, initializer, 2, size); }, "option hidden" + value);
      expect_refusal<OptionError>(
          "Attention: model", [&] { Attention(grid, initializer, size, 2); }, "option model" + value);
      expect_refusal<OptionError>(
          "Attention: heads", [&] { Attention(grid, initializer, 4, size); }, "option heads" + value);
      expect_refusal<OptionError>(
          "Attention: head_size", [&] { Attention(grid, initializer, 4, 2, size); }, "option head_size" + value);
    }
    expect_refusal<OptionError>(
        "Attention: heads that do not divide", [&] { Attention(grid, initializer, 6, 4); },
        "option heads = 4: give a divisor of the model's 6");
    for (double deviation : {-1., infinity, not_a_number})
      expect_refusal<OptionError>(
          "Initializer: deviation", [&] { initializer.normal<On<_>>(grid, {4}, deviation, "w"); }, "option deviation");
  });
}

TEST_CASE("layers: inputs of another width, unset ones, and lengths of other sentences") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    using X = On<"data", _, _>;
    nn::Initializer initializer(1);
    nn::RmsNorm<Grid, nn::Parallelism, double> by_root(grid, initializer, 4);
    nn::LayerNorm<Grid, nn::Parallelism, double> by_variance(grid, initializer, 4);
    nn::FeedForward<Grid, nn::Parallelism, double> dense(grid, initializer, 4, 3);
    nn::Attention<Grid, nn::Parallelism, double> attention(grid, initializer, 4, 2);
    Ints const lengths(grid, {2, 3});
    X const x(grid, {2, 6, 4});
    auto const attend = [&](X const& queries, X const& keys, Ints const& key_lengths, double rate = 0) {
      attention(queries, keys, key_lengths, nn::Masking::none, rate, nn::RandomStream{1, 1});
    };
    auto const rows = [&](char const* name, auto const& layer) {
      std::string const row(name);
      expect_refusal<StateError>(row + ": unset x", [&] { layer(X{}); });
      expect_refusal<MeshError>(row + ": x of another mesh", [&] { layer(X(other, {2, 6, 4})); });
      expect_refusal<ExtentError>(row + ": x of another width", [&] { layer(X(grid, {2, 6, 3})); });
    };
    rows("RmsNorm", [&](X const& in) { by_root(in); });
    rows("LayerNorm", [&](X const& in) { by_variance(in); });
    rows("FeedForward", [&](X const& in) { dense(in); });
    rows("Attention, queries", [&](X const& in) { attend(in, x, lengths); });
    rows("Attention, keys", [&](X const& in) { attend(x, in, lengths); });
    rows("Attention, cache", [&](X const& in) { attention.cache(in, 3); });
    expect_refusal<StateError>("Attention: unset lengths", [&] { attend(x, x, Ints{}); }, "lengths (unset)");
    expect_refusal<ExtentError>("Attention: sentences that do not divide", [&] { attend(x, x, Ints(grid, {2, 4})); });
    expect_refusal<ExtentError>("Attention: other groups of keys",
                                [&] { attend(x, X(grid, {3, 6, 4}), Ints(grid, {3, 3})); });
    expect_refusal<OptionError>("Attention: dropout rate", [&] { attend(x, x, lengths, 1.5); }, "dropout rate = 1.5");
    expect_refusal<ExtentError>("Attention, cache: sentences that do not divide", [&] { attention.cache(x, 4); });
    expect_refusal<ExtentError>("Attention, cache: no sentences", [&] { attention.cache(x, 0); });
  });
}

// ---- Models ----

namespace {

using Model = nn::Transformer<Grid, nn::Parallelism, nn::TransformerParts, double>;
using Side = Model::Side;
using Words = Side::Integers;

nn::TransformerOptions small() {
  return {.vocabulary = 7, .max_length = 3, .model = 4, .hidden = 3, .heads = 2, .experts = 2};
}

Side side(Grid const& grid) { return sentences_of<Side>(grid, 2, {0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4}, {3, 2, 1, 3}); }

}  // namespace

TEST_CASE("Transformer: options that are not allowed, each by its name") {
  on_every_grid([](Grid const& grid) {
    auto const refused = [&](auto const& change, char const* words) {
      nn::TransformerOptions options = small();
      change(options);
      expect_refusal<OptionError>(std::string("Transformer: ") + words, [&] { Model(grid, options, 1); }, words);
    };
    refused([](auto& o) { o.vocabulary = 0; }, "option vocabulary = 0: give 1 or more");
    refused([](auto& o) { o.vocabulary = std::int64_t{1} << 31; },
            "option vocabulary = 2147483648: give at most 2147483647");
    refused([](auto& o) { o.max_length = 0; }, "option max_length = 0: give 1 or more");
    refused([](auto& o) { o.model = 0; }, "option model = 0: give 1 or more");
    refused([](auto& o) { o.hidden = -1; }, "option hidden = -1: give 1 or more");
    refused([](auto& o) { o.heads = 0; }, "option heads = 0: give 1 or more");
    refused([](auto& o) { o.heads = 3; },
            "option heads = 3: give a divisor of the model's 4, or a head_size beside it");
    refused([](auto& o) { o.head_size = 0; }, "option head_size = 0: give 1 or more");
    refused([](auto& o) { o.encoder_layers = -1; }, "option encoder_layers = -1: give 0 or more");
    refused([](auto& o) { o.decoder_layers = -2; }, "option decoder_layers = -2: give 0 or more");
    refused([](auto& o) { o.experts = 0; }, "option experts = 0: give 1 or more");
    refused([](auto& o) { o.shared_experts = -1; }, "option shared_experts = -1: give 0 or more");
    refused([](auto& o) { o.dropout.input = 1; },
            "option dropout.input = 1: give a number of at least 0 and less than 1");
    refused([](auto& o) { o.dropout.residual = -.5; }, "option dropout.residual = -0.5");
    refused([](auto& o) { o.dropout.attention = not_a_number; }, "option dropout.attention = nan");
  });
}

TEST_CASE("Transformer: sentences that do not belong together, ids and positions out of range") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    Model model(grid, small(), 1);
    Side const good = side(grid);
    auto const changed = [&](auto const& change) {
      Side result = good;
      change(result);
      return result;
    };
    // As source, as target, and alone.
    auto const refused = [&]<class Kind>(Kind const&, std::string const& row, Side const& wrong, char const* words) {
      expect_refusal<Kind>("Transformer, source: " + row, [&] { model(wrong, good); }, words);
      expect_refusal<Kind>("Transformer, target: " + row, [&] { model(good, wrong); }, words);
      expect_refusal<Kind>("encode: " + row, [&] { model.encode(wrong); }, words);
    };
    refused(StateError(""), "unset ids", changed([](Side& s) { s.ids = {}; }), "ids (unset)");
    refused(StateError(""), "unset positions", changed([](Side& s) { s.positions = {}; }), "positions (unset)");
    refused(StateError(""), "unset mask", changed([](Side& s) { s.real = {}; }), "real (unset)");
    refused(StateError(""), "unset lengths", changed([](Side& s) { s.lengths = {}; }), "lengths (unset)");
    refused(MeshError(""), "another mesh", side(other), "ids (2, 6)");
    refused(ExtentError(""), "fewer positions", changed([&](Side& s) { s.positions = Words(grid, {2, 5}); }),
            "positions (2, 5)");
    refused(ExtentError(""), "smaller mask", changed([&](Side& s) { s.real = Words(grid, {1, 6}); }), "real (1, 6)");
    refused(ExtentError(""), "lengths of other groups", changed([&](Side& s) { s.lengths = Words(grid, {3, 2}); }),
            "lengths (3, 2)");
    refused(ExtentError(""), "lengths that do not divide", changed([&](Side& s) { s.lengths = Words(grid, {2, 4}); }),
            "a multiple of 4");
    auto const ids = [&](int last) {
      return integers<Words::spec_type>(grid, {2, 6}, {0, 1, 2, 3, -1, -1, 6, 0, 1, 2, 3, last});
    };
    refused(IndexError(""), "an id of V", changed([&](Side& s) { s.ids = ids(7); }), "element (1, 5) of ids");
    refused(IndexError(""), "a position of `max_length`", changed([&](Side& s) { s.positions = ids(3); }),
            "of positions");
    expect_refusal<ExtentError>(
        "Transformer: other sentences of the target",
        [&] { model(good, sentences_of<Side>(grid, 2, {0, 1, 2, 3, 4, 5}, {3, 3})); }, "target lengths (2, 1)");
    auto const memory = model.encode(good);
    expect_refusal<StateError>("decode: unset memory",
                               [&] { model.decode(std::remove_const_t<decltype(memory)>{}, good, good); });
    expect_refusal<StateError>("decode: unset ids",
                               [&] { model.decode(memory, good, changed([](Side& s) { s.ids = {}; })); });
    expect_refusal<StateError>("logits: unset", [&] { model.logits(std::remove_const_t<decltype(memory)>{}); });
  });
}

TEST_CASE("Decoder: words, parents and places out of range; it stays as it was") {
  on_two_grids([](Grid const& grid, Grid const& other) {
    Model model(grid, small(), 1);
    Side const source = side(grid);
    for (std::int64_t max_length : {-1, 0, 4})
      expect_refusal<OptionError>(
          "Decoder: max_length", [&] { nn::Decoder(model, source, max_length); }, "option max_length = ");
    expect_refusal<OptionError>(
        "Decoder: hypotheses", [&] { nn::Decoder(model, source, 3, 0); }, "option hypotheses = 0: give 1 or more");
    expect_refusal<StateError>("Decoder: unset source", [&] { nn::Decoder(model, Side{}, 3); }, "ids (unset)");
    nn::Decoder decoder(model, source, 2, 2);
    Words const words = integers<Words::spec_type>(grid, {2, 4}, {0, 1, -1, 6, 0, 1, 2, 3});
    auto const step = [&](auto const&... tensors) { return [&] { decoder.step(tensors...); }; };
    Words const unset{}, elsewhere(other, {2, 4}), few(grid, {2, 3}), groups(grid, {1, 4});
    Words const wrong = integers<Words::spec_type>(grid, {2, 4}, {0, 1, -1, 7, 0, 1, 2, 3});
    Words const before = integers<Words::spec_type>(grid, {2, 4}, {0, 1, -1, 3, 0, 1, 2, 3});
    Words const beyond = integers<Words::spec_type>(grid, {2, 4}, {0, 1, 2, 3, 0, 1, 4, 3});
    expect_refusal<StateError>("Decoder, step: unset words", step(unset), "words (unset)");
    expect_refusal<MeshError>("Decoder, step: words of another mesh", step(elsewhere), "words (2, 4)");
    expect_refusal<ExtentError>("Decoder, step: fewer words", step(few), "dimension 1 of words (2, 3) has to be 4");
    expect_refusal<ExtentError>("Decoder, step: fewer groups", step(groups), "dimension 0 of words (1, 4) has to be 2");
    expect_refusal<IndexError>("Decoder, step: a word of V", step(wrong), "element (0, 3)", "is 7");
    expect_refusal<StateError>("Decoder, step: unset parents", step(words, unset), "parents (unset)");
    expect_refusal<ExtentError>("Decoder, step: fewer parents", step(words, few), "dimension 1 of parents (2, 3)");
    expect_refusal<IndexError>("Decoder, step: a parent of -1", step(words, before), "element (0, 2) of parents",
                               "is -1");
    expect_refusal<IndexError>("Decoder, step: a parent of N", step(words, beyond), "element (1, 2) of parents",
                               "is 4");
    CHECK(decoder.place() == 0);
    decoder.step(words);
    decoder.step(words);
    expect_refusal<StateError>("Decoder, step: past the last place", step(words), "past the last of 2 places");
  });
}
