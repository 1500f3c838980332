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
#include "mixture.hpp"

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
