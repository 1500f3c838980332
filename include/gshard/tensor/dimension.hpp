// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <gshard/core/compile_error.hpp>

// Numbers of dimensions, everywhere in gshard: 0 is the first dimension, -1 the last, as in NumPy.

namespace gshard {

namespace error {

/// Compile error of an operation on dimension `Dimension` of a tensor of `Rank` dimensions.
template <int Dimension, int Rank>
struct NoSuchDimension {
  static_assert(
      always_false<std::integral_constant<int, Dimension>>,
      "gshard: the operation names a dimension that the tensor does not have; dimensions count from 0, and from -1, the last one, downwards");
};

}  // namespace error

namespace detail {

template <int Dimension, int Rank>
consteval int checked_dimension() {
  if constexpr (Dimension >= -Rank && Dimension < Rank) {
    return Dimension < 0 ? Dimension + Rank : Dimension;
  } else {
    using Refused [[maybe_unused]] = decltype(error::NoSuchDimension<Dimension, Rank>{});
    return 0;
  }
}

/// Number of a dimension, counted from 0: Dimension + Rank if `Dimension` is negative.
/// Does not compile if a tensor of `Rank` dimensions has no such dimension.
template <int Dimension, int Rank>
inline constexpr int dimension_of = checked_dimension<Dimension, Rank>();

}  // namespace detail
}  // namespace gshard
