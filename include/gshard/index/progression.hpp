// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/core/static_vector.hpp>
#include <gshard/tensor/shard_range.hpp>

namespace gshard::detail {

/// Affine map along one dimension: for i in [0, count), index from + i from_step goes to index to + i to_step.
/// Preconditions: from_step != 0, to_step > 0.
struct Progression {
  std::int64_t count = 0;
  std::int64_t from = 0;
  std::int64_t from_step = 1;
  std::int64_t to = 0;
  std::int64_t to_step = 1;

  friend constexpr bool operator==(Progression const&, Progression const&) = default;
};

/// One progression for each dimension.
using Progressions = StaticVector<Progression, max_rank>;

/// Returns floor(numerator / denominator), for either sign of both.
constexpr std::int64_t floor_divide(std::int64_t numerator, std::int64_t denominator) {
  std::int64_t const quotient = numerator / denominator;
  return quotient - ((numerator % denominator != 0) && ((numerator < 0) != (denominator < 0)) ? 1 : 0);
}

/// Returns the i in [0, count) for which begin + i step is in `range`. Precondition: step != 0.
constexpr Range positions_in(Range range, std::int64_t count, std::int64_t begin, std::int64_t step) {
  std::int64_t const low = step > 0 ? range.begin : range.end - 1;
  std::int64_t const high = step > 0 ? range.end - 1 : range.begin;
  Range const inside{-floor_divide(begin - low, step), floor_divide(high - begin, step) + 1};
  return intersection(inside, {0, count});
}

/// Returns the part of a progression that leads from indices in `from` to indices in `to`. A part of one element has
/// steps of 1: the caller multiplies strides by the steps, and a long step that is never taken might overflow.
constexpr Progression restricted(Progression const& whole, Range from, Range to) {
  Range const part = intersection(positions_in(from, whole.count, whole.from, whole.from_step),
                                  positions_in(to, whole.count, whole.to, whole.to_step));
  bool const has_steps = part.size() > 1;
  return {part.size(), whole.from + part.begin * whole.from_step, has_steps ? whole.from_step : 1,
          whole.to + part.begin * whole.to_step, has_steps ? whole.to_step : 1};
}

/// Returns the inverse map. Reverses the order of the elements if `from_step` is negative, so that `to_step` is
/// positive again.
constexpr Progression transposed(Progression const& way) {
  if (way.from_step > 0) return {way.count, way.to, way.to_step, way.from, way.from_step};
  return {way.count, way.to + (way.count - 1) * way.to_step, -way.to_step, way.from + (way.count - 1) * way.from_step,
          -way.from_step};
}

/// Returns the number of elements that a map moves.
constexpr std::int64_t count_of(Progressions const& map) {
  std::int64_t count = 1;
  for (Progression const& dimension : map) count *= dimension.count;
  return count;
}

}  // namespace gshard::detail
