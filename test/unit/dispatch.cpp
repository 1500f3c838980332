// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <limits>
#include <vector>

#include <gshard/nn/kernels/dispatch.hpp>
#include <gshard/nn/kernels/gate.hpp>
#include <gshard/nn/kernels/one_hot.hpp>

#include "kernel_test.hpp"

using namespace gshard;
using namespace gshard::test;
using namespace gshard::nn;
using namespace gshard::nn::detail;

namespace {

/// The routes of a gate that always sends second choices.
struct RoutesOfGate {
  std::size_t groups, tokens, experts, capacity;
  Cube<int> expert{"expert", groups, tokens, 2};
  Cube<int> slot{"slot", groups, tokens, 2};
  Cube<double> weight{"weight", groups, tokens, 2};
  Cube<int> token_of_slot{"token_of_slot", experts, groups, capacity};
  Matrix<int> first_choices{"first_choices", groups, experts};
  Matrix<int> choices{"choices", groups, experts};
  Matrix<int> kept{"kept", groups, experts};
  Vector<int> real_tokens{"tokens", groups};
  Matrix<double> mean_gates{"mean_gates", groups, experts};
  Vector<double> balance_loss{"balance_loss", groups};

  RoutesOfGate(Cube<double> gates, std::size_t slots)
      : groups(gates.extent(0)), tokens(gates.extent(1)), experts(gates.extent(2)), capacity(slots) {
    run_gate<Top2Gate, double, Host>(gates, {}, {}, {expert, slot, weight, token_of_slot},
                                     {first_choices, choices, kept, real_tokens, mean_gates, balance_loss});
    Kokkos::fence();
  }
};

/// A routing of random gates: 3 groups of 10 tokens, 4 experts, with overflow at few slots and empty slots at many.
RoutesOfGate random_routing(std::size_t capacity) {
  auto const gates = drawn(Cube<double>("gates", 3, 10, 4), 31);
  for (std::size_t i = 0; i < gates.size(); ++i) gates.data()[i] = std::abs(gates.data()[i]);
  return RoutesOfGate(gates, capacity);
}

}  // namespace

TEST_CASE("T26: a layer of two experts, by routes") {
  auto const gates = filled(Cube<double>("gates", 1, 4, 2), {.75, .25, .75, .25, .75, .25, .25, .75});
  auto const x = filled(Cube<double>("x", 1, 4, 2), {1, 2, 3, -1, 0, 1, 2, 2});
  auto const wi = filled(Cube<double>("wi", 2, 2, 2), {1, -1, 0, 2, 2, 0, 1, 1});
  auto const wo = filled(Cube<double>("wo", 2, 2, 2), {1, 0, 1, 1, 0, 1, 2, -1});
  RoutesOfGate const routing(gates, 2);
  check_near(routing.weight, {.75, .25, .75, 0, 0, 0, .75, 0}, 1e-15);
  check_near(routing.first_choices, {3, 1}, 0);
  check_near(routing.choices, {4, 4}, 0);
  CHECK(routing.balance_loss(0) == doctest::Approx(.28125).epsilon(1e-14));

  Tesseract<double> sent("sent", 2, 1, 2, 2), hidden("hidden", 2, 1, 2, 2), results("results", 2, 1, 2, 2);
  Cube<double> y("y", 1, 4, 2);
  dispatch<Host, double>(x, routing.token_of_slot, sent);
  Kokkos::fence();
  check_near(sent, {1, 2, 3, -1, 2, 2, 1, 2}, 0);
  for (std::size_t e = 0; e < 2; ++e)
    for (std::size_t c = 0; c < 2; ++c) {
      for (std::size_t h = 0; h < 2; ++h)
        hidden(e, 0, c, h) = std::fmax(0.0, sent(e, 0, c, 0) * wi(e, 0, h) + sent(e, 0, c, 1) * wi(e, 1, h));
      for (std::size_t m = 0; m < 2; ++m)
        results(e, 0, c, m) = hidden(e, 0, c, 0) * wo(e, 0, m) + hidden(e, 0, c, 1) * wo(e, 1, m);
    }
  check_near(hidden, {1, 3, 3, 0, 6, 2, 4, 2}, 0);
  check_near(results, {4, 3, 3, 0, 4, 4, 4, 2}, 0);
  combine<Host, double, double>(results, routing.expert, routing.slot, routing.weight, y);
  Kokkos::fence();
  check_near(y, {4, 2.75, 2.25, 0, 0, 0, 3, 3}, 1e-15);
}

TEST_CASE("dispatch and combine by routes are the einsums with the one-hot tensors") {
  for (std::size_t capacity : {1u, 4u, 11u}) {
    RoutesOfGate const r = random_routing(capacity);
    constexpr std::size_t width = 5;
    auto const x = drawn(Cube<double>("x", r.groups, r.tokens, width), 32);
    auto const results = drawn(Tesseract<double>("results", r.experts, r.groups, capacity, width), 33);
    Tesseract<double> weights("weights", r.groups, r.tokens, r.experts, capacity),
        mask("mask", r.groups, r.tokens, r.experts, capacity);
    Tesseract<double> sent("sent", r.experts, r.groups, capacity, width),
        right_sent("right_sent", r.experts, r.groups, capacity, width);
    Cube<double> y("y", r.groups, r.tokens, width), right_y("right_y", r.groups, r.tokens, width);
    one_hot_routes<Host, double>(r.expert, r.slot, r.weight, weights, mask);
    dispatch<Host, double>(x, r.token_of_slot, sent);
    combine<Host, double, double>(results, r.expert, r.slot, r.weight, y);
    Kokkos::fence();
    double kept = 0;
    for (std::size_t g = 0; g < r.groups; ++g)
      for (std::size_t s = 0; s < r.tokens; ++s)
        for (std::size_t e = 0; e < r.experts; ++e)
          for (std::size_t c = 0; c < capacity; ++c) {
            CHECK(mask(g, s, e, c) == (weights(g, s, e, c) != 0 ? 1 : 0));
            kept += mask(g, s, e, c);
            for (std::size_t m = 0; m < width; ++m) {
              right_sent(e, g, c, m) += mask(g, s, e, c) * x(g, s, m);
              right_y(g, s, m) += weights(g, s, e, c) * results(e, g, c, m);
            }
          }
    CHECK(kept == (capacity == 11 ? 60 : kept));
    CHECK(kept > 0);
    check_near(sent, values_of(right_sent), 0);
    check_near(y, values_of(right_y), 1e-15);
  }
}

TEST_CASE("gradients of dispatch, combine and the one-hot tensors against central differences") {
  for (std::size_t capacity : {1u, 4u, 11u}) {
    RoutesOfGate const r = random_routing(capacity);
    constexpr std::size_t width = 19;
    Cube<double> x = drawn(Cube<double>("x", r.groups, r.tokens, width), 34);
    Tesseract<double> results = drawn(Tesseract<double>("results", r.experts, r.groups, capacity, width), 35);
    auto const sent_upstream = drawn(Tesseract<double>("sent_upstream", r.experts, r.groups, capacity, width), 36);
    auto const y_upstream = drawn(Cube<double>("y_upstream", r.groups, r.tokens, width), 37);
    auto const weights_upstream =
        drawn(Tesseract<double>("weights_upstream", r.groups, r.tokens, r.experts, capacity), 38);
    Tesseract<double> sent("sent", r.experts, r.groups, capacity, width);
    Tesseract<double> results_gradient("gradient", r.experts, r.groups, capacity, width);
    Tesseract<double> weights("weights", r.groups, r.tokens, r.experts, capacity),
        mask("mask", r.groups, r.tokens, r.experts, capacity);
    Cube<double> y("y", r.groups, r.tokens, width), x_gradient("gradient", r.groups, r.tokens, width);
    Cube<double> weight_gradient("gradient", r.groups, r.tokens, 2),
        one_hot_gradient("gradient", r.groups, r.tokens, 2);
    Cube<double> weight = r.weight;

    dispatch_backward<Host, double>(sent_upstream, r.expert, r.slot, x_gradient);
    combine_slots_backward<Host, double, double>(y_upstream, r.token_of_slot, r.expert, r.weight, results_gradient);
    combine_weights_backward<Host, double, double>(y_upstream, results, r.expert, r.slot, weight_gradient);
    one_hot_routes_backward<Host, double>(r.expert, r.slot, weights_upstream, one_hot_gradient);
    Kokkos::fence();
    CHECK(gradient_error(x, x_gradient, [&] {
            dispatch<Host, double>(x, r.token_of_slot, sent);
            Kokkos::fence();
            return dot(sent, sent_upstream);
          }) < 1e-8);
    auto const combined = [&] {
      combine<Host, double, double>(results, r.expert, r.slot, weight, y);
      Kokkos::fence();
      return dot(y, y_upstream);
    };
    CHECK(gradient_error(results, results_gradient, combined) < 1e-8);
    CHECK(gradient_error(weight, weight_gradient, combined) < 1e-8);
    CHECK(gradient_error(weight, one_hot_gradient, [&] {
            one_hot_routes<Host, double>(r.expert, r.slot, weight, weights, mask);
            Kokkos::fence();
            return dot(weights, weights_upstream);
          }) < 1e-8);
  }
}

TEST_CASE("E24: empty slots and dropped choices may hold anything: they are passed over, not multiplied by 0") {
  // Two tokens; both want expert 0, whose one slot token 0 takes; expert 2 has nobody.
  auto const gates = filled(Cube<double>("gates", 1, 2, 3), {.6, .4, 0, .8, .2, 0});
  RoutesOfGate const r(gates, 1);
  check_near(r.token_of_slot, {0, 0, -1}, 0);
  Tesseract<double> results("results", 3, 1, 1, 1), gradient("gradient", 3, 1, 1, 1);
  filled(results, {1, 2, not_a_number});
  Cube<double> y("y", 1, 2, 1), upstream("upstream", 1, 2, 1), weight_gradient("weight_gradient", 1, 2, 2);
  combine<Host, double, double>(results, r.expert, r.slot, r.weight, y);
  Kokkos::fence();
  check_near(y, {.6 * 1 + .4 * 2, 0}, 1e-15);

  filled(upstream, {1, not_a_number});
  combine_slots_backward<Host, double, double>(upstream, r.token_of_slot, r.expert, r.weight, gradient);
  combine_weights_backward<Host, double, double>(upstream, results, r.expert, r.slot, weight_gradient);
  Kokkos::fence();
  check_near(gradient, {.6, .4, 0}, 1e-15);
  check_near(weight_gradient, {1, 2, 0, 0}, 0);

  Tesseract<double> sent("sent", 3, 1, 1, 1);
  Kokkos::deep_copy(sent, not_a_number);
  dispatch<Host, double>(filled(Cube<double>("x", 1, 2, 1), {5, not_a_number}), r.token_of_slot, sent);
  dispatch_backward<Host, double>(results, r.expert, r.slot, y);
  Kokkos::fence();
  check_near(sent, {5, 5, 0}, 0);
  check_near(y, {3, 0}, 0);
}

TEST_CASE("BFloat16: the rows of a token's experts are added in float, and rounded once") {
  // One token at four experts: 256 + 1 + 1 + 2 = 260, of which sums in bfloat16 would lose 2.
  Cube<int> expert("expert", 1, 1, 4), slot("slot", 1, 1, 4);
  filled(expert, {0, 1, 2, 3});
  Tesseract<BFloat16> rows("rows", 4, 1, 1, 1);
  std::vector<float> const values{256, 1, 1, 2};
  for (std::size_t e = 0; e < 4; ++e) rows(e, 0, 0, 0) = BFloat16(values[e]);
  Cube<float> weight("weight", 1, 1, 4);
  Kokkos::deep_copy(weight, 1.f);
  Cube<BFloat16> tokens("tokens", 1, 1, 1);
  combine<Host, BFloat16, float>(rows, expert, slot, weight, tokens);
  Kokkos::fence();
  CHECK(float(tokens(0, 0, 0)) == 260);
  dispatch_backward<Host, BFloat16>(rows, expert, slot, tokens);
  Kokkos::fence();
  CHECK(float(tokens(0, 0, 0)) == 260);
}

TEST_CASE("routes to experts, slots and tokens that do not exist are passed over") {
  // Two tokens of one expert with two slots; nothing outside of the tables is read or written.
  int const most = std::numeric_limits<int>::max(), least = std::numeric_limits<int>::min();
  Cube<double> x("x", 1, 2, 1), weight("weight", 1, 2, 2), y("y", 1, 2, 1), weight_gradient("gradient", 1, 2, 2);
  filled(x, {5, 7});
  Kokkos::deep_copy(weight, 1);
  Tesseract<double> rows("rows", 1, 1, 2, 1), sent("sent", 1, 1, 2, 1), gradient("gradient", 1, 1, 2, 1);
  filled(rows, {2, 3});
  for (int wrong : {1, 2, 3, most, least}) {
    Cube<int> expert("expert", 1, 2, 2), slot("slot", 1, 2, 2), token_of_slot("token_of_slot", 1, 1, 2);
    filled(expert, {0, double(wrong), 0, 0});
    filled(slot, {0, 0, double(wrong == 1 ? most : wrong), 1});
    filled(token_of_slot, {0, double(wrong == 1 ? most : wrong)});
    dispatch<Host, double>(x, token_of_slot, sent);
    combine<Host, double, double>(rows, expert, slot, weight, y);
    combine_slots_backward<Host, double, double>(x, token_of_slot, expert, weight, gradient);
    combine_weights_backward<Host, double, double>(x, rows, expert, slot, weight_gradient);
    Kokkos::fence();
    check_near(sent, {5, 0}, 0);
    check_near(y, {2, 3}, 0);
    check_near(gradient, {5, 0}, 0);
    check_near(weight_gradient, {10, 0, 0, 21}, 0);
    Tesseract<double> weights("weights", 1, 2, 1, 2), mask("mask", 1, 2, 1, 2);
    one_hot_routes<Host, double>(expert, slot, weight, weights, mask);
    one_hot_routes_backward<Host, double>(expert, slot, mask, weight_gradient);
    Kokkos::fence();
    check_near(weights, {1, 0, 0, 1}, 0);
    check_near(weight_gradient, {1, 0, 0, 1}, 0);
  }
}

TEST_CASE("no tokens, no slots, no columns") {
  struct Case {
    std::size_t groups, tokens, capacity, width;
  };
  for (Case const c : {Case{0, 3, 2, 4}, Case{2, 0, 2, 4}, Case{2, 3, 0, 4}, Case{2, 3, 2, 0}}) {
    auto const gates = Cube<double>("gates", c.groups, c.tokens, 2);
    Kokkos::deep_copy(gates, .5);
    RoutesOfGate const r(gates, c.capacity);
    Tesseract<double> slots("slots", 2, c.groups, c.capacity, c.width);
    Cube<double> y("y", c.groups, c.tokens, c.width), weight_gradient("weight_gradient", c.groups, c.tokens, 2);
    Kokkos::deep_copy(slots, 1);
    Kokkos::deep_copy(y, 1);
    combine<Host, double, double>(slots, r.expert, r.slot, r.weight, y);
    combine_weights_backward<Host, double, double>(y, slots, r.expert, r.slot, weight_gradient);
    Kokkos::fence();
    if (c.capacity == 0) check_near(y, std::vector<double>(y.size(), 0), 0);
    check_near(weight_gradient, std::vector<double>(weight_gradient.size(), 0), 0);
    Kokkos::deep_copy(y, 1);
    dispatch<Host, double>(y, r.token_of_slot, slots);
    dispatch_backward<Host, double>(slots, r.expert, r.slot, y);
    combine_slots_backward<Host, double, double>(y, r.token_of_slot, r.expert, r.weight, slots);
    Kokkos::fence();
    if (c.tokens == 0) check_near(slots, std::vector<double>(slots.size(), 0), 0);
    if (c.capacity == 0) check_near(y, std::vector<double>(y.size(), 0), 0);
  }
}
