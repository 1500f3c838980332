// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gshard/nn/moe/layer.hpp>

#include "layer_test.hpp"

/// A mixture of experts in all its forms against Algorithms 1 and 2 as loops over whole tensors.
namespace gshard::test {

template <class Spec>
using Tensor = ShardedTensor<Grid, Spec, double>;
template <AxisNames... Entries>
using On = Tensor<Spec<Entries...>>;

constexpr double balance_weight = .5;

template <AxisNames Tokens, AxisNames Experts>
struct Split : nn::Parallelism {
  static constexpr AxisNames tokens = Tokens;
  static constexpr AxisNames experts = Experts;
};

using AsInThePaper = Split<"data,expert", "expert">;
using TokensRepeatedOverExperts = Split<"data", "expert">;
using BothOverAllRanks = Split<"data,expert", "data,expert">;

/// Algorithm 1 with second choices that always go: weights (G, S, E) and E^2 times the mean of l_aux over groups with
/// tokens.
struct Gating {
  Values weights;
  double balance = 0;

  Gating(Dense const& gates, std::vector<int> const& real, std::int64_t capacity) : weights(gates.values.size(), 0) {
    auto const groups = static_cast<std::size_t>(gates.extents[0]), tokens = static_cast<std::size_t>(gates.extents[1]);
    auto const experts = static_cast<std::size_t>(gates.extents[2]);
    double groups_with_tokens = 0;
    for (std::size_t group = 0; group < groups; ++group) {
      std::vector<std::int64_t> count(experts, 0);
      Values mean(experts, 0);
      double real_tokens = 0;
      for (int choice = 0; choice < 2; ++choice) {
        for (std::size_t token = group * tokens; token < (group + 1) * tokens; ++token) {
          if (real[token] == 0) continue;
          double const* const g = gates.values.data() + token * experts;
          std::size_t const first = static_cast<std::size_t>(std::max_element(g, g + experts) - g);
          std::size_t second = first == 0 ? 1 : 0;
          for (std::size_t e = 0; e < experts; ++e)
            if (e != first && g[e] > g[second]) second = e;
          std::size_t const chosen = choice == 0 ? first : second;
          if (count[chosen]++ < capacity) weights[token * experts + chosen] = g[chosen] / (g[first] + g[second]);
          if (choice == 1) continue;
          real_tokens += 1;
          for (std::size_t e = 0; e < experts; ++e) mean[e] += g[e];
        }
        if (choice == 1 || real_tokens == 0) continue;
        groups_with_tokens += 1;
        for (std::size_t e = 0; e < experts; ++e)
          balance +=
              static_cast<double>(experts) * (static_cast<double>(count[e]) / real_tokens) * (mean[e] / real_tokens);
      }
    }
    balance /= std::max(groups_with_tokens, 1.);
  }
};

/// The layer: in[0] is x (G, S, M), then gate (M, E), wi (E, M, H), wo (E, H, M). Gives all outputs, and the balance
/// loss as one more.
inline Values mixture_of(std::vector<Dense> const& in, std::vector<int> const& real, std::int64_t capacity) {
  auto const model = static_cast<std::size_t>(in[1].extents[0]), experts = static_cast<std::size_t>(in[1].extents[1]);
  auto const hidden = static_cast<std::size_t>(in[2].extents[2]);
  Values const &x = in[0].values, &wi = in[2].values, &wo = in[3].values;
  Dense gates{{in[0].extents[0], in[0].extents[1], in[1].extents[1]}, {}};
  for (std::size_t token = 0; token < real.size(); ++token) {
    Values row(experts, 0);
    double sum = 0;
    for (std::size_t e = 0; e < experts; ++e) {
      for (std::size_t m = 0; m < model; ++m) row[e] += x[token * model + m] * in[1].values[m * experts + e];
      sum += row[e] = std::exp(row[e]);
    }
    for (double gate : row) gates.values.push_back(gate / sum);
  }
  Gating const gating(gates, real, capacity);
  Values result(x.size(), 0);
  for (std::size_t token = 0; token < real.size(); ++token)
    for (std::size_t e = 0; e < experts; ++e) {
      double const weight = gating.weights[token * experts + e];
      if (weight == 0) continue;
      for (std::size_t h = 0; h < hidden; ++h) {
        double sum = 0;
        for (std::size_t m = 0; m < model; ++m) sum += x[token * model + m] * wi[(e * model + m) * hidden + h];
        for (std::size_t m = 0; m < model; ++m)
          result[token * model + m] += weight * std::max(sum, 0.) * wo[(e * hidden + h) * model + m];
      }
    }
  result.push_back(gating.balance);
  return result;
}

inline double loss_of(Values const& outputs_and_balance) {
  Values const outputs(outputs_and_balance.begin(), outputs_and_balance.end() - 1);
  return weighted_sum(outputs) + balance_weight * outputs_and_balance.back();
}

struct MixtureShape {
  char const* name;
  std::int64_t groups, tokens, experts;
  double capacity_factor;
  std::int64_t capacity;     ///< ceil(factor * tokens / experts)
  std::vector<int> padding;  ///< which places of all groups together
};

inline MixtureShape const mixture_shapes[] = {
    {"even", 8, 4, 8, 2, 1, {}},
    {"room for all choices", 8, 4, 4, 8, 8, {}},
    {"fewer experts than ranks, drops", 8, 6, 3, .7, 2, {}},
    {"fewer groups than ranks", 1, 7, 4, 1.5, 3, {}},
    {"uneven groups and experts", 3, 5, 5, 2, 2, {}},
    {"padding", 3, 5, 3, 1, 2, {0, 3, 4, 9, 13, 14}},
    {"a group of padding", 3, 4, 4, 2, 2, {4, 5, 6, 7}},
    {"nothing but padding", 2, 2, 4, 2, 1, {0, 1, 2, 3}},
};

inline std::vector<int> real_places(MixtureShape const& shape) {
  std::vector<int> real(static_cast<std::size_t>(shape.groups * shape.tokens), 1);
  for (int place : shape.padding) real[static_cast<std::size_t>(place)] = 0;
  return real;
}

inline nn::MixtureOptions options_of(MixtureShape const& shape) {
  nn::MixtureOptions options{shape.experts, 3, 2, {}};
  options.gate.capacity_factor = shape.capacity_factor;
  return options;
}

/// The whole of what a layer gives, against the loops.
template <nn::DispatchForm Form, class Held>
void check_mixture(Grid const& grid, MixtureShape const& shape) {
  INFO(shape.name, Form == nn::DispatchForm::by_index ? ", by index"
                   : Form == nn::DispatchForm::ragged ? ", ragged"
                                                      : ", by one-hot einsums");
  using X = Tensor<Spec<Held::tokens, _, _>>;
  nn::Initializer initializer(3);
  nn::MixtureOfExperts<Grid, Held, nn::TopKGate<2>, nn::ReluExperts, double> layer(grid, initializer,
                                                                                   options_of(shape));
  auto const real = real_places(shape);
  auto const mask = integers<Spec<Held::tokens, _>>(grid, {shape.groups, shape.tokens}, real);

  std::vector<Dense> values = {smooth_values({shape.groups, shape.tokens, 3}, 1)};
  layer.for_each_parameter(
      [&](auto& parameter) { values.push_back({parameter.value.extents(), collected(parameter.value)}); });
  Values outputs = mixture_of(values, real, shape.capacity);
  double const balance = outputs.back();
  outputs.pop_back();

  auto const x = tensor_of<X>(grid, values[0]);
  auto const plain = layer.template operator()<Form>(x, mask, nn::RandomStream{});
  CHECK(plain.routing.capacity == shape.capacity);
  CHECK(difference(plain.output, outputs, 1e-12) == "");
  CHECK(difference(plain.balance_loss, {balance}, 1e-12) == "");

  Tape tape;
  auto const recorded = tape.watch(x);
  auto const result = layer.template operator()<Form>(recorded, mask, nn::RandomStream{});
  CHECK(difference(result.output.value(), outputs, 1e-12) == "");
  CHECK(difference(result.balance_loss.value(), {balance}, 1e-12) == "");
  tape.backward(weighted_sum(result.output) + result.balance_loss * balance_weight);

  auto const differences = [&](std::size_t number) {
    return central_differences([&] { return loss_of(mixture_of(values, real, shape.capacity)); },
                               values[number].values);
  };
  CHECK(difference(tape.gradient(recorded), differences(0), 1e-7) == "");
  std::size_t number = 1;
  layer.for_each_parameter([&](auto const& parameter) {
    INFO("gradient of ", parameter.value.name());
    CHECK(difference(parameter.gradient, differences(number++), 1e-7) == "");
  });
}

/// Fills the memory that tensors will get with NaN.
inline void poison(Grid const& grid) {
  std::vector<On<_>> tensors;
  for (std::int64_t size = 8; size <= 2048;
       size +=
       std::max<std::int64_t>(8, static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(size))) / 8))
    for (int i = 0; i < 8; ++i) {
      tensors.emplace_back(grid, Extents{size});
      Kokkos::deep_copy(tensors.back().flat(), std::numeric_limits<double>::quiet_NaN());
    }
}

}  // namespace gshard::test
