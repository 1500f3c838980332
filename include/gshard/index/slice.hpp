// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/core/error.hpp>
#include <gshard/index/rearrange.hpp>
#include <gshard/tensor/operands.hpp>

// Slices of a tensor, padding, reversal and cyclic shifts.

namespace gshard {

namespace detail {

/// Index map of `slice`.
struct SliceMap {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t stride;

  /// Throws StateError or ExtentError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("slice", {x});
    if (begin < 0 || end > (*x.extents)[dimension] || begin > end || stride < 1)
      throw ExtentError(concat("slice: [", begin, ", ", end, ") in steps of ", stride, " does not lie in dimension ",
                               dimension, " of ", text_of(x), place_of(x)));
    std::int64_t const size = end - begin;
    std::int64_t const count = size / stride + (size % stride == 0 ? 0 : 1);
    // A stride beyond the range takes one element at most; capped, its products stay within 64 bits.
    return along(*x.extents, dimension, count, {{count, begin, std::min(stride, size + 1), 0, 1}});
  }
};

/// The largest absolute value of the widths of `pad`; keeps indices within 64 bits.
inline constexpr std::int64_t max_padding = std::int64_t{1} << 60;

/// Index map of `pad`.
struct PadMap {
  std::int64_t low;
  std::int64_t high;
  std::int64_t interior;

  /// Throws StateError or ExtentError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("pad", {x});
    std::int64_t const extent = (*x.extents)[dimension];
    auto const is_width = [](std::int64_t number) { return number >= -max_padding && number <= max_padding; };
    bool const are_widths = is_width(low) && is_width(high) && is_width(interior) && interior >= 0;
    std::int64_t const inner =
        extent == 0 || !are_widths ? 0 : saturated_sum(saturated_product(extent - 1, interior + 1), 1);
    std::int64_t const result = are_widths && inner <= max_extent ? low + inner + high : -1;
    if (result < 0 || result > max_extent)
      throw ExtentError(concat("pad: ", low, " before, ", high, " behind and ", interior,
                               " between leave no extent of 0 to 2^62 in dimension ", dimension, " of ", text_of(x),
                               place_of(x)));
    Progression const way = restricted({extent, 0, 1, low, interior + 1}, {0, extent}, {0, result});
    return along(*x.extents, dimension, result, {way});
  }
};

/// Index map of `reverse`.
struct ReverseMap {
  /// Throws StateError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("reverse", {x});
    std::int64_t const extent = (*x.extents)[dimension];
    return along(*x.extents, dimension, extent, {{extent, extent - 1, -1, 0, 1}});
  }
};

/// Index maps of `roll`.
struct RollMap {
  std::int64_t shift;

  /// Throws StateError.
  Rearrangement operator()(Operand const& x, int dimension) const {
    require_set("roll", {x});
    std::int64_t const extent = (*x.extents)[dimension];
    std::int64_t const turn = extent == 0 ? 0 : (shift % extent + extent) % extent;
    return along(*x.extents, dimension, extent, {{extent - turn, 0, 1, turn, 1}, {turn, extent - turn, 1, 0, 1}});
  }
};

}  // namespace detail

// Common to the functions below. The result keeps the layout of the operand, without extents fixed by the type.
// Operands may be unreduced sums. A negative `Dimension` counts from the end.
// Communication: one all-to-all over the axes that split `Dimension`; a rank sends each of its elements that another
// rank's new block needs, and no other. None if no axis splits `Dimension` or every rank already holds its new block.
// The gradient is the transpose, with the same communication in the opposite direction.
// Throws StateError if a tensor is unset.
// Source: paper 3.3.3.

/// Returns every `stride`-th of the elements [begin, end) along `Dimension`:
/// y[.., i, ..] = x[.., begin + i * stride, ..].
/// Shapes: x (.., n, ..), result (.., ceil((end - begin) / stride), ..).
/// Throws ExtentError unless 0 <= begin <= end <= n and stride >= 1.
template <int Dimension, TensorOperand X>
auto slice(X&& x, std::int64_t begin, std::int64_t end, std::int64_t stride = 1) {
  return detail::rearrange<Dimension>(std::forward<X>(x), detail::SliceMap{begin, end, stride});
}

/// Pads x along `Dimension` with `low` elements `value` at the beginning, `high` at the end and `interior` between
/// neighbours. Negative `low` and `high` remove elements.
/// Element i of x goes to index low + i (interior + 1); elements outside the result are dropped.
/// Shapes: x (.., n, ..), result (.., low + m + high, ..), m = (n - 1) (interior + 1) + 1, or 0 for n = 0.
/// Of an unreduced sum, `value` is the value of the reduced element.
/// Throws ExtentError if `interior` is negative, a width is beyond 2^60, or the new extent is not in [0, 2^62].
template <int Dimension, TensorOperand X>
auto pad(X&& x, std::int64_t low, std::int64_t high, typename detail::ValueTensor<X>::value_type value = {},
         std::int64_t interior = 0) {
  return detail::rearrange<Dimension>(std::forward<X>(x), detail::PadMap{low, high, interior}, value);
}

/// Reverses the elements along `Dimension`: y[.., i, ..] = x[.., n - 1 - i, ..].
template <int Dimension, TensorOperand X>
auto reverse(X&& x) {
  return detail::rearrange<Dimension>(std::forward<X>(x), detail::ReverseMap{});
}

/// Shifts the elements cyclically along `Dimension`: y[.., (i + shift) mod n, ..] = x[.., i, ..]. `shift` may be
/// negative.
template <int Dimension, TensorOperand X>
auto roll(X&& x, std::int64_t shift) {
  return detail::rearrange<Dimension>(std::forward<X>(x), detail::RollMap{shift});
}

}  // namespace gshard
