// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>

// Maxima, minima and comparisons that propagate NaN, as in NumPy, JAX and PyTorch. Results do not depend on the order
// of the numbers or on the ranks that hold them; Kokkos::max, Kokkos::Max and std::max keep or drop a NaN depending on
// its position.

namespace gshard::detail {

template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr bool is_nan(T value) {
  if constexpr (std::is_integral_v<T>) return false;
  else return value != value;
}

/// Returns the identity of a maximum: -infinity, or the lowest integer.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr T lowest_of() {
  if constexpr (std::is_integral_v<T>) return Kokkos::Experimental::finite_min_v<T>;
  else return static_cast<T>(-Kokkos::Experimental::infinity_v<Computed<T>>);
}

/// Returns the identity of a minimum: infinity, or the highest integer.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr T highest_of() {
  if constexpr (std::is_integral_v<T>) return Kokkos::Experimental::finite_max_v<T>;
  else return static_cast<T>(Kokkos::Experimental::infinity_v<Computed<T>>);
}

/// Returns whether `value` replaces `so_far` as the maximum: it is larger, or the first NaN. Equal values do not
/// replace.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr bool is_larger(T value, T so_far) {
  return value > so_far || (is_nan(value) && !is_nan(so_far));
}

/// Returns whether `value` replaces `so_far` as the minimum: it is smaller, or the first NaN.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr bool is_smaller(T value, T so_far) {
  return value < so_far || (is_nan(value) && !is_nan(so_far));
}

/// Maximum as a rule of `ThreadLanes::fold` and of reductions.
template <class T>
struct Largest {
  using accumulator = T;

  KOKKOS_FORCEINLINE_FUNCTION static constexpr T identity() { return lowest_of<T>(); }

  KOKKOS_FORCEINLINE_FUNCTION static constexpr void combine(T& into, T value) {
    T const so_far = into;  // a copy: with `into` in the expression compilers emit a branch
    into = ((value > so_far) | is_nan(value)) ? value : so_far;
  }
};

/// Minimum as a rule of `ThreadLanes::fold` and of reductions.
template <class T>
struct Smallest {
  using accumulator = T;

  KOKKOS_FORCEINLINE_FUNCTION static constexpr T identity() { return highest_of<T>(); }

  KOKKOS_FORCEINLINE_FUNCTION static constexpr void combine(T& into, T value) {
    T const so_far = into;
    into = ((value < so_far) | is_nan(value)) ? value : so_far;
  }
};

}  // namespace gshard::detail
