// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>

namespace gshard::detail {

/// Calls `function` with the elements of a tuple.
/// Replaces std::apply, whose traits for noexcept and for pointers to members took a tenth of the compiler's front-end
/// time on a mixture-of-experts layer.
template <class Function, class... Elements>
constexpr decltype(auto) call_with(std::tuple<Elements...> const& elements, Function const& function) {
  return [&]<std::size_t... Position>(std::index_sequence<Position...>) -> decltype(auto) {
    return function(std::get<Position>(elements)...);
  }(std::index_sequence_for<Elements...>{});
}

}  // namespace gshard::detail
