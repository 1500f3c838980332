// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>

namespace gshard::detail {

/// `function` of the elements of a tuple. As std::apply, which instantiates much more: traits of exceptions and of
/// calls through members.
template <class Function, class... Elements>
constexpr decltype(auto) call_with(std::tuple<Elements...> const& elements, Function const& function) {
  return [&]<std::size_t... Position>(std::index_sequence<Position...>) -> decltype(auto) {
    return function(std::get<Position>(elements)...);
  }(std::index_sequence_for<Elements...>{});
}

}  // namespace gshard::detail
