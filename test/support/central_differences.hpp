// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

#include "dense_reference.hpp"

/// Gradients against central differences in double precision: every element of every operand.
namespace gshard::test {

/// The sum of all elements, each times a number of its own, so that their gradients differ. For tensors and recorded
/// tensors.
template <class Result>
auto weighted_sum(Result const& result) {
  using Tensor = std::remove_cvref_t<decltype(gshard::detail::value_of(result))>;
  if constexpr (!Tensor::layout.partial.empty()) {
    return weighted_sum(reshard<spec_of<TwoAxes, gshard::detail::without_partial(Tensor::layout)>>(result));
  } else {
    auto const weights =
        filled<Tensor>(gshard::detail::value_of(result).mesh(), gshard::detail::value_of(result).extents(), 99, smooth);
    return sum(result * weights);
  }
}

/// Adds to one element of a tensor, wherever it is held; to the first part, where the tensor is an unreduced sum.
template <class Tensor>
void add_to_element(Tensor const& tensor, std::size_t position, double amount) {
  if (tensor.mesh_state().group(Tensor::layout.partial).rank != 0) return;
  std::vector<std::size_t> const positions = global_positions(tensor);
  for (std::size_t local = 0; local < positions.size(); ++local)
    if (positions[local] == position) tensor.data()[local] += amount;
}

/// Compares the gradients of `function` with central differences. It takes the inputs, as tensors or recorded, and
/// gives a number or a recorded scalar.
template <class Function, class... Inputs>
void check_gradients(Function const& function, Inputs const&... inputs) {
  Tape tape;
  std::tuple<Var<Inputs>...> const vars{tape.watch(inputs)...};
  auto const loss = std::apply(function, vars);
  CHECK(to_vector(loss.value()).front() == doctest::Approx(static_cast<double>(function(inputs...))));
  tape.backward(loss);
  int number = 0;
  auto check = [&]<class Tensor>(Var<Tensor> const& var) {
    Tensor const& input = var.value();
    std::vector<double> expected;
    double const step = 1e-5;
    for (std::size_t position = 0; position < static_cast<std::size_t>(input.size()); ++position) {
      add_to_element(input, position, step);
      double const above = static_cast<double>(function(inputs...));
      add_to_element(input, position, -2 * step);
      double const below = static_cast<double>(function(inputs...));
      add_to_element(input, position, step);
      expected.push_back((above - below) / (2 * step));
    }
    INFO("operand ", number++, " ", gshard::detail::text_of<TwoAxes>(Tensor::layout), " ",
         gshard::detail::text_of(input.extents()), " on mesh (", input.mesh().text(), ")");
    CHECK(difference(tape.gradient(var), expected, 1e-7) == "");
  };
  std::apply([&](auto const&... var) { (check(var), ...); }, vars);
}

}  // namespace gshard::test
