// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <gshard/core/compile_error.hpp>

// The numbers of dimensions, everywhere in gshard: from 0, the first, or from -1, the last one, downwards, as in NumPy.

namespace gshard {

namespace error {

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

/// Dimension `Dimension` of a tensor of `Rank` dimensions, counted from 0. Does not compile where there is none.
template <int Dimension, int Rank>
inline constexpr int dimension_of = checked_dimension<Dimension, Rank>();

}  // namespace detail
}  // namespace gshard
