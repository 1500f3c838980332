// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

#include <gshard/core/launch.hpp>
#include <gshard/core/static_vector.hpp>

namespace gshard::detail {

/// Stands for "no element"; larger than every position, hence the identity of a minimum.
inline constexpr std::int64_t no_position = std::numeric_limits<std::int64_t>::max();

/// Term of a minimum over a block of ids: returns the global row-major position of an id outside [lowest, limit), and
/// `no_position` for an id inside.
template <class Id>
struct PositionOfWrongId {
  Id const* ids;
  std::int64_t lowest, limit;
  Extents offsets, extents;  ///< of the block
  Extents strides;           ///< of the whole tensor, row-major

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t operator()(std::int64_t position, std::int64_t, std::int64_t) const {
    std::int64_t const id = ids[position];
    return id >= lowest && id < limit ? no_position : global(position);
  }

 private:
  /// Returns the global position of the element at a position in the block.
  KOKKOS_FUNCTION std::int64_t global(std::int64_t position) const {
    std::int64_t result = 0;
    for (int d = extents.size() - 1; d >= 0; --d) {
      result += (offsets[d] + position % extents[d]) * strides[d];
      position /= extents[d];
    }
    return result;
  }
};

}  // namespace gshard::detail
