// SPDX-License-Identifier: Apache-2.0
#pragma once

// What compile errors are made of: one class template per mistake in gshard::error, the facts as its arguments, and a
// static_assert inside that says what is wrong and what to do. A check names its mistake as a type, or void, and the
// public function makes the compiler say it, before anything of it is instantiated, and returns a stand-in:
//
//   using Refused [[maybe_unused]] = decltype(error::ReshardChangesRank<Tensor::rank, To::rank>{});
//
// In a declaration, not in an expression: Clang then still evaluates the function around it, and says nothing more.

namespace gshard::error {

/// Carries the letters of a name into a compiler's message.
template <char... Letters>
struct Name {};

/// False, and dependent: for a static_assert that fails where its template is instantiated.
template <class... Facts>
inline constexpr bool always_false = false;

}  // namespace gshard::error

namespace gshard::detail {

/// The first type that is not void: of several checks the first mistake.
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
