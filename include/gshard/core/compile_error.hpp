// SPDX-License-Identifier: Apache-2.0
#pragma once

// What compile errors are made of: one class template per mistake in gshard::error, the facts as its arguments, and a
// static_assert inside that says what is wrong and what to do.

namespace gshard::error {

/// Carries the letters of a name into a compiler's message.
template <char... Letters>
struct Name {};

/// False, and dependent: for a static_assert that fails where its template is instantiated.
template <class... Facts>
inline constexpr bool always_false = false;

}  // namespace gshard::error
