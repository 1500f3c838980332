// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>

// Maxima, minima and orders of numbers among which NaN may be, by one rule: NaN propagates, so that a result does not
// depend on the order of the numbers, nor on the ranks that hold them (NumPy, JAX and PyTorch do so too). Kokkos::max,
// Kokkos::Max and std::max keep a NaN or lose it, by its place.

namespace gshard::detail {

template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr bool is_nan(T value) {
  if constexpr (std::is_integral_v<T>) return false;
  else return value != value;
}

/// The identity of a maximum: minus infinity, or the lowest integer.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr T lowest_of() {
  if constexpr (std::is_integral_v<T>) return Kokkos::Experimental::finite_min_v<T>;
  else return static_cast<T>(-Kokkos::Experimental::infinity_v<Computed<T>>);
}

/// The identity of a minimum: infinity, or the highest integer.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr T highest_of() {
  if constexpr (std::is_integral_v<T>) return Kokkos::Experimental::finite_max_v<T>;
  else return static_cast<T>(Kokkos::Experimental::infinity_v<Computed<T>>);
}

/// Whether `value` takes the place of `so_far` as the largest: it is larger, or the first NaN. Of equals the first
/// stays.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr bool is_larger(T value, T so_far) {
  return value > so_far || (is_nan(value) && !is_nan(so_far));
}

/// Whether `value` takes the place of `so_far` as the smallest.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION constexpr bool is_smaller(T value, T so_far) {
  return value < so_far || (is_nan(value) && !is_nan(so_far));
}

/// The rule of maxima, for folds.
template <class T>
struct Largest {
  using accumulator = T;

  KOKKOS_FORCEINLINE_FUNCTION static constexpr T identity() { return lowest_of<T>(); }

  KOKKOS_FORCEINLINE_FUNCTION static constexpr void combine(T& into, T value) {
    T const so_far = into;  // a second name: otherwise compilers make a branch of the choice
    into = ((value > so_far) | is_nan(value)) ? value : so_far;
  }
};

/// The rule of minima, for folds.
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
