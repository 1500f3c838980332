// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/reduce.hpp>
#include <gshard/tensor/from_vector.hpp>

#include "dense_reference.hpp"

/// Layers on every mesh against plain loops over whole tensors, which every rank runs by itself: the values, and the
/// gradients of inputs and parameters as central differences of those loops.
namespace gshard::test {

using Grid = Mesh<Axis<"data">, Axis<"expert">>;

/// Every data x expert mesh of this run's ranks.
inline std::vector<std::array<int, 2>> all_grids() {
  std::vector<std::array<int, 2>> sizes;
  for (int data = 1; data <= ranks(); ++data)
    if (ranks() % data == 0) sizes.push_back({data, ranks() / data});
  return sizes;
}

template <class Action>
void on_every_grid(Action const& action) {
  for (auto const& sizes : all_grids()) {
    Grid const grid(runtime(), sizes);
    INFO("mesh ", grid.text());
    action(grid);
  }
}

template <class Tensor>
Tensor tensor_of(typename Tensor::mesh_type const& mesh, Dense const& dense) {
  return from_vector<Tensor>(mesh, dense.extents, dense.values);
}

template <class Spec>
using Integers = ShardedTensor<Grid, Spec, int>;

template <class Spec>
Integers<Spec> integers(Grid const& grid, Extents const& extents, std::vector<int> const& values) {
  return from_vector<Integers<Spec>>(grid, extents, values);
}

/// The same of a recorded tensor.
template <AnyTensor Tensor>
auto weighted_sum(Var<Tensor> const& result) {
  return sum(result * filled<Tensor>(result.value().mesh(), result.value().extents(), 99, smooth));
}

struct NoParameters {
  template <class Visit>
  void for_each_parameter(Visit const&) {}
};

/// Compares `run(layer, inputs...)`, on tensors and recorded, with `reference(values)`, where the values are those of
/// the inputs and then of the layer's parameters in their order; and the gradients of them all.
template <class... Inputs, class Layer, class Run, class Reference>
void check_layer(Grid const& grid, Layer& layer, std::vector<Dense> values, Run const& run,
                 Reference const& reference) {
  std::size_t next = 0;
  auto const next_input = [&]<class Input>(std::type_identity<Input>) {
    return tensor_of<Input>(grid, values[next++]);
  };
  std::tuple<Inputs...> const inputs{next_input(std::type_identity<Inputs>{})...};
  layer.for_each_parameter(
      [&](auto& parameter) { values.push_back({parameter.value.extents(), collected(parameter.value)}); });
  std::vector<Dense> const& read_only = values;
  Values const right = reference(read_only);
  auto const plain = [&](auto const&... input) { return run(layer, input...); };
  CHECK(difference(std::apply(plain, inputs), right, 1e-12) == "");

  Tape tape;
  auto const vars =
      std::apply([&](auto const&... input) { return std::tuple<Var<Inputs>...>{tape.watch(input)...}; }, inputs);
  auto const result = std::apply(plain, vars);
  CHECK(difference(result.value(), right, 1e-12) == "");
  tape.backward(weighted_sum(result));

  std::size_t number = 0;
  auto const check = [&](auto const& gradient) {
    INFO("gradient ", number);
    Values const differences =
        central_differences([&] { return weighted_sum(reference(read_only)); }, values[number].values);
    CHECK(difference(gradient, differences, 1e-7) == "");
    ++number;
  };
  std::apply([&](auto const&... var) { (check(tape.gradient(var)), ...); }, vars);
  layer.for_each_parameter([&](auto& parameter) {
    REQUIRE(parameter.has_gradient());
    check(parameter.gradient);
    parameter.clear_gradient();
  });
}

/// The same for an operation without parameters.
template <class... Inputs, class Run, class Reference>
void check_operation(Grid const& grid, std::vector<Dense> const& values, Run const& run, Reference const& reference) {
  NoParameters none;
  check_layer<Inputs...>(
      grid, none, values, [&](NoParameters&, auto const&... inputs) { return run(inputs...); }, reference);
}

/// The gradients of the recorded inputs among `inputs`, then those of the layer's parameters.
template <class Layer, class Run, class... Inputs>
std::vector<Values> recorded_gradients(Layer& layer, Run const& run, Inputs const&... inputs) {
  Tape& tape = gshard::detail::tape_of(inputs...);
  tape.backward(weighted_sum(run(layer, inputs...)));
  std::vector<Values> gradients;
  auto const add = [&](auto const& input) {
    if constexpr (AnyVar<decltype(input)>) gradients.push_back(collected(tape.gradient(input)));
  };
  (add(inputs), ...);
  layer.for_each_parameter([&](auto& parameter) {
    gradients.push_back(parameter.has_gradient() ? collected(parameter.gradient) : Values{});
    parameter.clear_gradient();
  });
  return gradients;
}

/// Whichever of the inputs are recorded: each one's gradient, and each parameter's, is the one that it gets where all
/// are recorded. `run(layer, inputs...)`.
template <class... Inputs, class Layer, class Run>
void check_recorded_combinations(Layer& layer, Run const& run, Inputs const&... inputs) {
  auto const with = [&]<std::size_t... Position>(auto combination, std::index_sequence<Position...>) {
    Tape tape;
    auto const operand = [&]<std::size_t P>(std::integral_constant<std::size_t, P>, auto const& input) {
      if constexpr ((decltype(combination)::value >> P & 1) != 0) return tape.watch(input);
      else return input;
    };
    return recorded_gradients(layer, run, operand(std::integral_constant<std::size_t, Position>{}, inputs)...);
  };
  constexpr auto positions = std::index_sequence_for<Inputs...>{};
  constexpr std::size_t all = (std::size_t{1} << sizeof...(Inputs)) - 1;
  std::vector<Values> const right = with(std::integral_constant<std::size_t, all>{}, positions);
  auto const check = [&](auto combination) {
    INFO("recorded inputs, bit by bit: ", combination.value);
    std::vector<Values> expected;
    for (std::size_t i = 0; i < right.size(); ++i)
      if (i >= sizeof...(Inputs) || (combination.value >> i & 1) != 0) expected.push_back(right[i]);
    std::vector<Values> const found = with(combination, positions);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(difference(found[i], expected[i], 1e-14) == "");
  };
  [&]<std::size_t... Less>(std::index_sequence<Less...>) {
    (check(std::integral_constant<std::size_t, Less + 1>{}), ...);
  }(std::make_index_sequence<all - 1>{});
}

}  // namespace gshard::test
