// SPDX-License-Identifier: Apache-2.0
// What is masked or padding is left out: minus infinity, NaN and infinity there change neither results nor gradients,
// and where nothing is left, sums and means are 0. On every mesh.
#include <cmath>
#include <cstdint>
#include <limits>

#include <gshard/nn/attention.hpp>
#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/rms_norm.hpp>
#include <gshard/nn/zero_padding.hpp>
#include <gshard/reshard/gather.hpp>

#include "layer_test.hpp"
#include "layers.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

template <class Spec, class T = double>
using Tensor = ShardedTensor<Grid, Spec, T>;
template <AxisNames... Entries>
using On = Tensor<Spec<Entries...>>;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A loss, and its gradient for the logits (1, N, V) that are held as `Logits`.
struct Loss {
  double value;
  Values gradient;
};

template <class Logits, class Targets>
Loss loss_of(Grid const& grid, Dense const& logits, std::vector<int> const& targets, double tokens, double smoothing,
             double z_loss = 0) {
  std::vector<typename Logits::value_type> const values(logits.values.begin(), logits.values.end());
  Tape tape;
  auto const leaf = tape.watch(from_vector<Logits>(grid, logits.extents, values));
  auto const loss = nn::cross_entropy(leaf, from_vector<Targets>(grid, {logits.extents[0], logits.extents[1]}, targets),
                                      tokens, smoothing, z_loss);
  tape.backward(loss);
  return {static_cast<double>(to_vector(loss.value())[0]), collected(tape.gradient(leaf))};
}

/// Calls `check(holding)` for logits (G, N, V) whose vocabulary is whole, split over one axis, and over all ranks.
template <class T = double, class Check>
void with_every_vocabulary(Check const& check) {
  check.template operator()<Tensor<Spec<_, _, _>, T>, Integers<Spec<_, _>>>();
  check.template operator()<Tensor<Spec<"data", _, "expert">, T>, Integers<Spec<"data", _>>>();
  check.template operator()<Tensor<Spec<_, _, "expert,data">, T>, Integers<Spec<_, _>>>();
}

template <class T>
T element(double value) {
  return static_cast<T>(value);
}

/// `x` with other values in the places [first, last) of a sentence of `places` places.
Dense with_rubbish(Dense x, std::vector<int> const& lengths, double rubbish) {
  auto const width = static_cast<std::size_t>(x.extents[x.extents.size() - 1]);
  std::size_t const places = x.values.size() / width / lengths.size();
  for (std::size_t row = 0; row < x.values.size() / width; ++row)
    if (static_cast<int>(row % places) >= lengths[row / places])
      for (std::size_t j = 0; j < width; ++j) x.values[row * width + j] = rubbish;
  return x;
}

}  // namespace

// ---- Cross entropy ----

// Two tokens whose last three words are masked: the losses are log(e^.3 + e^-.2 + e^1.1) - 1.1 = .555... and
// log(e^2 + 1 + e^-1) - 2 = .16985... by hand; the gradients (p - one_hot) / 2.
TEST_CASE("cross entropy of a vocabulary masked by -inf: the words left, also where a rank holds masked ones alone") {
  Values const logits = {.3, -.2, 1.1, -infinity, -infinity, -infinity, 2, 0, -1, -infinity, -infinity, -infinity};
  Values gradient;
  double right = 0;
  for (int token = 0; token < 2; ++token) {
    double const* const row = logits.data() + 6 * token;
    int const target = token == 0 ? 2 : 0;
    double const sum = std::exp(row[0]) + std::exp(row[1]) + std::exp(row[2]);
    right += (std::log(sum) - row[target]) / 2;
    for (int v = 0; v < 6; ++v) gradient.push_back((std::exp(row[v]) / sum - (v == target ? 1 : 0)) / 2);
  }
  CHECK(right == doctest::Approx(.356625781).epsilon(1e-8));
  on_every_grid([&](Grid const& grid) {
    auto const check = [&]<class T>(T) {
      double const tolerance = std::is_same_v<T, double> ? 1e-14 : 1e-6;
      with_every_vocabulary<T>([&]<class Logits, class Targets>() {
        Dense const masked{{1, 2, 6}, logits};
        Loss const loss = loss_of<Logits, Targets>(grid, masked, {2, 0}, 2, 0);
        CHECK(difference({loss.value}, {right}, tolerance) == "");
        CHECK(difference(loss.gradient, gradient, tolerance) == "");
        // Smoothing asks for a share of words that cannot be.
        CHECK(loss_of<Logits, Targets>(grid, masked, {2, 0}, 2, .1).value == infinity);
        CHECK(loss_of<Logits, Targets>(grid, masked, {2, 0}, 2, 1).value == infinity);
        // So does a target that is masked.
        CHECK(loss_of<Logits, Targets>(grid, masked, {2, 4}, 2, 0).value == infinity);
        CHECK(loss_of<Logits, Targets>(grid, masked, {2, 4}, 2, 1).value == infinity);
        // Padding is left out whatever it holds, and a row without any word that can be has no loss.
        Dense const nothing{{1, 2, 6}, Values(12, -infinity)};
        CHECK(difference({loss_of<Logits, Targets>(grid, nothing, {-1, -1}, 2, .1).value}, {0}) == "");
        CHECK(std::isnan(loss_of<Logits, Targets>(grid, nothing, {2, -1}, 1, 0).value));
      });
    };
    check(double{});
    check(float{});
  });
}

TEST_CASE("cross entropy in bfloat16 of a vocabulary masked by -inf") {
  on_every_grid([&](Grid const& grid) {
    std::vector<BFloat16> logits;
    for (double value : {1., -.5, -infinity, -infinity, -infinity, -infinity})
      logits.push_back(element<BFloat16>(value));
    using Logits = Tensor<Spec<_, _, "expert,data">, BFloat16>;
    auto const loss =
        nn::cross_entropy(from_vector<Logits>(grid, {1, 1, 6}, logits), integers<Spec<_, _>>(grid, {1, 1}, {0}), 1);
    CHECK(difference(loss, {std::log(1 + std::exp(-1.5))}, 1e-6) == "");
  });
}

TEST_CASE("cross entropy: rubbish in the logits of padding changes neither the loss nor its gradient") {
  on_every_grid([&](Grid const& grid) {
    with_every_vocabulary([&]<class Logits, class Targets>() {
      Dense logits = smooth_values({2, 3, 6}, 1);
      std::vector<int> const targets = {0, -1, 5, -1, 2, -1};
      Loss const clean = loss_of<Logits, Targets>(grid, logits, targets, 3, .1, .01);
      for (double rubbish : {not_a_number, infinity, -infinity}) {
        for (std::size_t token : {1U, 3U, 5U})
          for (std::size_t v = 0; v < 6; ++v) logits.values[6 * token + v] = rubbish;
        Loss const loss = loss_of<Logits, Targets>(grid, logits, targets, 3, .1, .01);
        CHECK(loss.value == clean.value);
        CHECK(difference(loss.gradient, clean.gradient) == "");
      }
    });
  });
}

TEST_CASE("cross entropy of padding alone: the mean of no tokens is 0, and so is its gradient") {
  on_every_grid([&](Grid const& grid) {
    with_every_vocabulary([&]<class Logits, class Targets>() {
      for (double smoothing : {0., .1}) {
        Loss const loss =
            loss_of<Logits, Targets>(grid, smooth_values({3, 2, 6}, 1), std::vector<int>(6, -1), 0, smoothing, .01);
        CHECK(loss.value == 0);
        CHECK(difference(loss.gradient, Values(36, 0)) == "");
      }
      // No rows at all.
      CHECK(loss_of<Logits, Targets>(grid, {{3, 0, 6}, {}}, {}, 0, .1).value == 0);
    });
  });
}

// ---- Attention ----

TEST_CASE("zero_padding_by_lengths: words stay, padding is 0, and gradients flow to words alone") {
  on_every_grid([](Grid const& grid) {
    for (std::int64_t groups : {1, 3}) {
      std::vector<int> const numbers = some_lengths(groups * 2, 4);
      auto const lengths = integers<Spec<"data", _>>(grid, {groups, 2}, numbers);
      auto const right = [&](std::vector<Dense> const& in) { return with_rubbish(in[0], numbers, 0).values; };
      auto const run = [&](auto const& x) { return nn::zero_padding_by_lengths(x, lengths); };
      check_operation<On<"data", _, _>>(grid, {smooth_values({groups, 8, 3}, 1)}, run, right);
      check_operation<On<"data", _, "expert">>(grid, {smooth_values({groups, 8, 3}, 1)}, run, right);
      check_operation<On<"data", _, "expert", _>>(grid, {smooth_values({groups, 2, 4, 3}, 1)}, run, right);
      auto const rubbish =
          tensor_of<On<"data", _, _>>(grid, with_rubbish(smooth_values({groups, 8, 3}, 1), numbers, not_a_number));
      CHECK(difference(run(rubbish), right({smooth_values({groups, 8, 3}, 1)})) == "");
    }
  });
}

TEST_CASE("attention: rubbish in the padding of keys changes neither results nor gradients") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(5);
    nn::Attention<Grid, nn::Parallelism, double> layer(grid, initializer, 4, 2);
    std::vector<int> const numbers = {3, 0, 1, 2, 3, 2};
    auto const check = [&]<class X>(std::type_identity<X>, auto const& lengths, Extents const& query_extents,
                                    Extents const& key_extents, nn::Masking masking) {
      auto const learn = [&](double rubbish) {
        auto const queries = tensor_of<X>(grid, smooth_values(query_extents, 1));
        auto const keys = tensor_of<X>(grid, with_rubbish(smooth_values(key_extents, 2), numbers, rubbish));
        Tape tape;
        auto const recorded_keys = tape.watch(keys);
        auto const result = layer(tape.watch(queries), recorded_keys, lengths, masking);
        std::vector<Values> all = {collected(result.value())};
        tape.backward(weighted_sum(result));
        all.push_back(collected(tape.gradient(recorded_keys)));
        layer.for_each_parameter([&](auto& parameter) {
          all.push_back(collected(parameter.gradient));
          parameter.clear_gradient();
        });
        return all;
      };
      auto const right = learn(0);
      for (double rubbish : {not_a_number, infinity}) {
        auto const found = learn(rubbish);
        for (std::size_t i = 0; i < right.size(); ++i) CHECK(difference(found[i], right[i]) == "");
      }
    };
    check(std::type_identity<On<"data,expert", _, _>>{}, integers<Spec<"data,expert", _>>(grid, {3, 2}, numbers),
          {3, 4, 4}, {3, 6, 4}, nn::Masking::none);
    check(std::type_identity<On<"data", _, "expert", _>>{}, integers<Spec<"data", _>>(grid, {3, 2}, numbers),
          {3, 2, 3, 4}, {3, 2, 3, 4}, nn::Masking::causal);
  });
}

TEST_CASE("attention to itself: padding set to 0 at the entry, rubbish there changes nothing") {
  on_every_grid([](Grid const& grid) {
    nn::Initializer initializer(5);
    nn::Attention<Grid, nn::Parallelism, double> layer(grid, initializer, 4, 2);
    std::vector<int> const numbers = {3, 0, 1, 2, 3, 2};
    auto const lengths = integers<Spec<"data", _>>(grid, {3, 2}, numbers);
    auto const learn = [&](double rubbish) {
      Tape tape;
      auto const x =
          tape.watch(tensor_of<On<"data", _, _>>(grid, with_rubbish(smooth_values({3, 6, 4}, 1), numbers, rubbish)));
      auto const words = nn::zero_padding_by_lengths(x, lengths);
      tape.backward(weighted_sum(layer(words, words, lengths, nn::Masking::causal)));
      std::vector<Values> all = {collected(tape.gradient(x))};
      layer.for_each_parameter([&](auto& parameter) {
        all.push_back(collected(parameter.gradient));
        parameter.clear_gradient();
      });
      return all;
    };
    CHECK(learn(not_a_number) == learn(0));
  });
}

TEST_CASE("attention weights: scores of keys that are not seen are not read, forward and backward") {
  on_every_grid([](Grid const& grid) {
    auto const lengths = integers<Spec<"data", _>>(grid, {1, 2}, {2, -1});
    Values scores = {0, std::log(3.), not_a_number, infinity, not_a_number, not_a_number};
    Tape tape;
    auto const leaf = tape.watch(tensor_of<On<"data", _, _, _, _>>(grid, {{1, 2, 1, 1, 3}, scores}));
    auto const weights = nn::attention_weights(leaf, lengths, 1, nn::Masking::none);
    CHECK(difference(weights.value(), {.25, .75, 0, 0, 0, 0}, 1e-14) == "");
    // d loss / d weights = (1, 0, NaN, NaN, NaN, NaN): p * (dp - sum p dp) = (.25 * .75, -.75 * .25).
    Values const upstream = {1, 0, not_a_number, not_a_number, not_a_number, not_a_number};
    tape.backward(weights, tensor_of<On<"data", _, _, _, _>>(grid, {{1, 2, 1, 1, 3}, upstream}));
    CHECK(difference(tape.gradient(leaf), {.1875, -.1875, 0, 0, 0, 0}, 1e-14) == "");
  });
}

TEST_CASE("attention to a cache: places that are not seen are not read; a negative length sees none") {
  on_every_grid([](Grid const& grid) {
    using Places = On<"data", _, _, _, _>;
    // One sentence that sees 2 of 3 places, one of negative length, one that has ended.
    Values places;
    for (int sentence = 0; sentence < 3; ++sentence)
      for (double value : {1., 3., not_a_number}) places.push_back(sentence == 0 ? value : not_a_number);
    nn::AttentionCache<Places> const cache{tensor_of<Places>(grid, {{1, 3, 3, 1, 1}, places}),
                                           tensor_of<Places>(grid, {{1, 3, 3, 1, 1}, places})};
    auto const lengths = integers<Spec<"data", _>>(grid, {1, 3}, {2, -1, 2});
    auto const real = integers<Spec<"data", _>>(grid, {1, 3}, {1, 1, 0});
    auto const queries = tensor_of<On<"data", _, _, _>>(grid, {{1, 3, 1, 1}, {0, 0, 0}});
    nn::detail::CachedPlaces<Kokkos::HostSpace> cached{3, 3, 3};
    cached.lengths = lengths.local();
    CHECK(difference(nn::attend_cached(queries, cache, real, cached), {2, 0, 0}, 1e-15) == "");
  });
}

TEST_CASE("a query all of whose scores are -inf has no weights: NaN, from a cache and from whole sentences alike") {
  on_every_grid([](Grid const& grid) {
    auto const lengths = integers<Spec<"data", _>>(grid, {1, 1}, {2});
    auto const scores = tensor_of<On<"data", _, _, _, _>>(grid, {{1, 1, 1, 1, 3}, Values(3, -infinity)});
    Values const weights = collected(nn::attention_weights(scores, lengths, 1, nn::Masking::none));
    CHECK(std::isnan(weights[0]));
    CHECK(std::isnan(weights[1]));
    CHECK(weights[2] == 0);
    using Places = On<"data", _, _, _, _>;
    nn::AttentionCache<Places> const cache{tensor_of<Places>(grid, {{1, 1, 3, 1, 1}, Values(3, -infinity)}),
                                           tensor_of<Places>(grid, {{1, 1, 3, 1, 1}, {1, 2, 3}})};
    auto const query = tensor_of<On<"data", _, _, _>>(grid, {{1, 1, 1, 1}, {1}});
    auto const real = integers<Spec<"data", _>>(grid, {1, 1}, {1});
    CHECK(std::isnan(collected(nn::attend_cached(query, cache, real, {1, 3, 2}))[0]));
    // Of some: they have no weight, the first place among them.
    nn::AttentionCache<Places> const some{tensor_of<Places>(grid, {{1, 1, 3, 1, 1}, {-infinity, 1, -infinity}}),
                                          cache.values};
    CHECK(difference(nn::attend_cached(query, some, real, {1, 3, 3}), {2}) == "");
  });
}

// ---- Embedding, norms ----

TEST_CASE("embedding: rubbish in the gradient of padding does not reach the table") {
  on_every_grid([](Grid const& grid) {
    auto const ids = integers<Spec<"data", _>>(grid, {1, 3}, {1, -1, 0});
    Tape tape;
    auto const table = tape.watch(tensor_of<On<_, _>>(grid, smooth_values({2, 2}, 1)));
    auto const rows = nn::embedding(table, ids);
    Values const upstream = {1, 2, not_a_number, infinity, 3, 4};
    tape.backward(rows, tensor_of<On<"data", _, _>>(grid, {{1, 3, 2}, upstream}));
    CHECK(difference(tape.gradient(table), {3, 4, 1, 2}) == "");
  });
}

TEST_CASE("norms of floats whose squares no float holds") {
  on_every_grid([](Grid const& grid) {
    using X = Tensor<Spec<"data", _>, float>;
    using Gain = Tensor<Spec<_>, float>;
    auto const floats = [](std::vector<float> const& values) { return values; };
    auto const gain = from_vector<Gain>(grid, {4}, floats({1, 1, 1, 1}));
    auto const bias = from_vector<Gain>(grid, {4}, floats({0, 0, 0, 0}));
    for (float size : {1e25F, 1e19F, 1.5e38F}) {
      INFO("size ", size);
      Tape tape;
      auto const x = tape.watch(from_vector<X>(grid, {1, 4}, floats({size, -size, size, -size})));
      Values const right = {1, -1, 1, -1};
      auto const by_root = nn::rms_norm(x, gain);
      auto const by_variance = nn::layer_norm(x, gain, bias);
      CHECK(difference(by_root.value(), right, 1e-6) == "");
      CHECK(difference(by_variance.value(), right, 1e-6) == "");
      // d sum(y * (1, 0, 0, 0)) = (1, 0, 0, 0) - y / 4 over size for both, and less its mean for the second.
      auto const first = from_vector<X>(grid, {1, 4}, floats({1, 0, 0, 0}));
      tape.backward(eval(sum(by_root * first)));
      Values of_x = collected(tape.gradient(x));
      for (double& value : of_x) value *= size;
      CHECK(difference(of_x, {.75, .25, -.25, .25}, 1e-5) == "");
    }
  });
}
