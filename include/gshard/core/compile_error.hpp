// SPDX-License-Identifier: Apache-2.0
#pragma once

// Building blocks of compile-time errors. A mistake is a class template in gshard::error: its template arguments are
// the facts, and a static_assert inside says what is wrong and what to do. A check returns the type of the mistake, or
// void. The public function instantiates the mistake before it instantiates anything else, and returns a stand-in:
//
//   using Refused [[maybe_unused]] = decltype(error::ReshardChangesRank<Tensor::rank, To::rank>{});
//
// A declaration instead of an expression: Clang can then evaluate the enclosing function and prints no further errors.

namespace gshard::error {

/// Name as a template argument: shows its letters in the messages of all compilers.
template <char... Letters>
struct Name {};

/// False, dependent on template parameters, so that a static_assert fails only when its template is instantiated.
template <class... Facts>
inline constexpr bool always_false = false;

}  // namespace gshard::error

namespace gshard::detail {

/// Selects the first type that is not void, or void: the first mistake of several checks.
template <class... Mistakes>
struct FirstMistake {
  using type = void;
};
template <class First, class... Rest>
struct FirstMistake<First, Rest...> {
  using type = First;
};
template <class... Rest>
struct FirstMistake<void, Rest...> : FirstMistake<Rest...> {};

}  // namespace gshard::detail
