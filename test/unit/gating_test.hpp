// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include <gshard/nn/kernels/gate.hpp>
#include <gshard/nn/kernels/gate_backward.hpp>
#include <gshard/nn/kernels/softmax.hpp>

#include "kernel_test.hpp"

/// What the tests of gates share.
namespace gshard::test {

using nn::detail::GateChance;

/// One kept choice: token s goes to (expert, slot) with this weight.
struct Route {
  int token, expert, slot;
  double weight;
};

/// A gate's inputs and outputs, for G groups of S tokens, E experts and C slots.
template <class T, class Policy = nn::Top2Gate>
struct Gate {
  static constexpr std::size_t choices_of_token = Policy::choices;
  Cube<T> gates;
  Matrix<int> real{};
  Matrix<T> numbers{};
  GateChance<T, Host> chance{};
  Cube<int> expert, slot, token_of_slot;
  Cube<T> weight;
  Matrix<int> first_choices, choices, kept_choices;
  Vector<int> tokens;
  Matrix<T> mean_gates;
  Vector<T> balance_loss;

  Gate(Cube<T> gate_values, std::size_t capacity)
      : gates(gate_values),
        expert("expert", gates.extent(0), gates.extent(1), choices_of_token),
        slot("slot", gates.extent(0), gates.extent(1), choices_of_token),
        token_of_slot("token_of_slot", gates.extent(2), gates.extent(0), capacity),
        weight("weight", gates.extent(0), gates.extent(1), choices_of_token),
        first_choices("first_choices", gates.extent(0), gates.extent(2)),
        choices("choices", gates.extent(0), gates.extent(2)),
        kept_choices("kept", gates.extent(0), gates.extent(2)),
        tokens("tokens", gates.extent(0)),
        mean_gates("mean_gates", gates.extent(0), gates.extent(2)),
        balance_loss("balance_loss", gates.extent(0)) {}

  nn::detail::Routes<T, Host> routes() const { return {expert, slot, weight, token_of_slot}; }
  nn::detail::GateCounts<T, Host> counts() const {
    return {first_choices, choices, kept_choices, tokens, mean_gates, balance_loss};
  }

  /// Gives chance these numbers, for all tokens of all groups.
  Gate& with_numbers(std::vector<double> const& values) {
    numbers = filled(Matrix<T>("numbers", gates.extent(0), gates.extent(1) * (choices_of_token - 1)), values);
    chance = {.drawn = true, .numbers = numbers};
    return *this;
  }

  Gate& with_real(std::vector<double> const& values) {
    real = filled(Matrix<int>("real", gates.extent(0), gates.extent(1)), values);
    return *this;
  }

  Gate& run() {
    nn::detail::run_gate<Policy, T, Host>(gates, real, chance, routes(), counts());
    Kokkos::fence();
    return *this;
  }

  /// The gradient with respect to the logits, of what the gates are the softmax of.
  Cube<T> gradient(Cube<T> weight_upstream, Vector<T> loss_upstream) const {
    Cube<T> result("gradient", gates.extent(0), gates.extent(1), gates.extent(2));
    Kokkos::deep_copy(result, static_cast<T>(not_a_number));
    nn::detail::gate_backward<Policy, T, Host>(gates, real, routes(), counts(), weight_upstream, loss_upstream, result);
    nn::detail::Rank2<T, Host> const rows(gates.data(), gates.extent(0) * gates.extent(1), gates.extent(2));
    nn::detail::Rank2<T, Host> const logits(result.data(), gates.extent(0) * gates.extent(1), gates.extent(2));
    nn::detail::softmax_backward<Host, T>(rows, logits, logits);
    Kokkos::fence();
    return result;
  }

  /// The kept choices of one group, token after token, the first choice before the second.
  std::vector<Route> kept(std::size_t group = 0) const {
    std::vector<Route> result;
    for (std::size_t s = 0; s < gates.extent(1); ++s)
      for (std::size_t k = 0; k < choices_of_token; ++k)
        if (slot(group, s, k) >= 0)
          result.push_back({int(s), expert(group, s, k), slot(group, s, k), double(weight(group, s, k))});
    return result;
  }
};

inline Cube<double> one_group(std::vector<std::vector<double>> const& rows) {
  std::vector<double> values;
  for (auto const& row : rows) values.insert(values.end(), row.begin(), row.end());
  return filled(Cube<double>("gates", 1, rows.size(), rows[0].size()), values);
}

/// The gates of logits, by the softmax kernel.
template <class T = double>
Cube<T> gates_of(std::vector<std::vector<double>> const& logits) {
  auto const rows = matrix_of<T>(logits);
  nn::detail::softmax<Host, T>(rows, rows);
  Kokkos::fence();
  return filled(Cube<T>("gates", 1, rows.extent(0), rows.extent(1)), values_of(rows));
}

inline void check_routes(std::vector<Route> const& routes, std::vector<Route> const& right, double tolerance = 1e-12) {
  REQUIRE(routes.size() == right.size());
  for (std::size_t i = 0; i < routes.size(); ++i) {
    CAPTURE(i);
    CHECK(routes[i].token == right[i].token);
    CHECK(routes[i].expert == right[i].expert);
    CHECK(routes[i].slot == right[i].slot);
    CHECK(std::abs(routes[i].weight - right[i].weight) <= tolerance);
  }
}

/// The group G1 of the paper's figures.
inline std::vector<std::vector<double>> const g1 = {
    {.5, .3, .1, .1}, {.4, .1, .3, .2}, {.6, .2, .15, .05}, {.1, .2, .3, .4}};

/// Where Algorithm 1 sends it (T04).
inline std::vector<Route> const routes_of_g1 = {{0, 0, 0, .625},   {0, 1, 0, .375}, {1, 0, 1, 4 / 7.},
                                                {1, 2, 0, 3 / 7.}, {2, 1, 1, .25},  {3, 3, 0, 4 / 7.},
                                                {3, 2, 1, 3 / 7.}};

}  // namespace gshard::test
