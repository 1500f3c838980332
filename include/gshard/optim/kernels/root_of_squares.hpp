// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>

namespace gshard::optim::detail {

/// Returns sqrt(a^2 + b^2), whose squares neither overflow nor vanish; NaN where `a` or `b` is. Optimizers hold the
/// roots of second moments: a float holds the squares of numbers between 1e-22 and 1e19 only. In place of
/// Kokkos::hypot, a library call, which compilers do not vectorise.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION T root_of_squares(T a, T b) {
  a = Kokkos::abs(a);
  b = Kokkos::abs(b);
  T const large = a > b ? a : b;
  T const small = a > b ? b : a;
  T const ratio = small / large;
  return large == T(0) ? small : large * Kokkos::sqrt(T(1) + ratio * ratio);
}

}  // namespace gshard::optim::detail
