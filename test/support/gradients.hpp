// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <gshard/autodiff.hpp>
#include <gshard/reshard.hpp>

#include "central_differences.hpp"
#include "einsum_table.hpp"

/// Gradients against central differences in double precision: every element of every operand.
namespace gshard::test {

/// The gradients of the einsum of a row.
template <FixedString Text, class Result, class... Operands>
void check_gradients_of(TwoAxes const& mesh, Row<Text, Result, Operands...> row) {
  constexpr Subscripts subscripts = subscripts_of<Text>;
  int operand = 0;
  auto input = [&]<class Spec>(std::type_identity<Spec>) {
    Extents extents;
    for (char letter : subscripts.operands[operand])
      extents.push_back(std::array{2, 3, 2, 1, 2}[static_cast<std::size_t>(letter - 'a') % 5]);
    return filled<Of<double, Spec>>(mesh, extents, ++operand, smooth);
  };
  INFO(std::string(Text.view()));
  auto const function = [row](auto const&... tensor) { return weighted_sum(einsum_of(row, tensor...)); };
  std::tuple<Of<double, typename MarkedSpec<Operands>::spec>...> const inputs{
      input(std::type_identity<typename MarkedSpec<Operands>::spec>{})...};
  std::apply([&](auto const&... tensor) { check_gradients(function, tensor...); }, inputs);
}

template <class... Rows>
void check_gradients_of(std::tuple<Rows...>) {
  on_every_mesh([](TwoAxes const& mesh) { (check_gradients_of(mesh, Rows{}), ...); });
}

}  // namespace gshard::test
