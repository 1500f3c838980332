// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <gshard/tensor/shard_range.hpp>

namespace gshard {

/// How a window moves over one dimension (paper 3.3.3 and A.4): `size` elements, `dilation` apart, over a base whose
/// elements are `base_dilation` apart, with `low` and `high` zeros around it (negative: elements left out), in steps of
/// `stride`. Output o looks at the positions o stride - low + k dilation, k < size, of the dilated base; element j of
/// the tensor stands at j base_dilation, zeros stand between.
struct Window {
  std::int64_t size = 1;
  std::int64_t stride = 1;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::int64_t dilation = 1;
  std::int64_t base_dilation = 1;

  /// The largest number that any of these, the extent of the dilated base and the span of the dilated window may be:
  /// positions are computed in 64 bits.
  static constexpr std::int64_t max_size = std::int64_t{1} << 59;

  /// From its first element to its last.
  constexpr std::int64_t span() const { return 1 + (size - 1) * dilation; }

  /// The number of outputs over `extent` elements.
  constexpr std::int64_t outputs(std::int64_t extent) const {
    std::int64_t const full = (extent == 0 ? 0 : (extent - 1) * base_dilation + 1) + low + high;
    return full < span() ? 0 : (full - span()) / stride + 1;
  }
};

namespace detail {

constexpr std::int64_t ceil_divide(std::int64_t numerator, std::int64_t denominator) {
  return numerator >= 0 ? (numerator + denominator - 1) / denominator : -(-numerator / denominator);
}

}  // namespace detail

/// The elements that these outputs look at, some of them perhaps outside the tensor; none for no outputs.
constexpr Range needed_range(Window const& window, Range outputs) {
  if (outputs.size() <= 0) return {};
  std::int64_t const first = outputs.begin * window.stride - window.low;
  std::int64_t const end = (outputs.end - 1) * window.stride - window.low + window.span();
  Range const range{detail::ceil_divide(first, window.base_dilation), detail::ceil_divide(end, window.base_dilation)};
  return {range.begin, std::max(range.begin, range.end)};
}

/// What a shard lacks on its sides; negative where it has more than it needs (paper fig. 11 and 12).
struct HaloWidths {
  std::int64_t left = 0;
  std::int64_t right = 0;
  friend constexpr bool operator==(HaloWidths const&, HaloWidths const&) = default;
};

/// The halo of a shard that holds `own` and computes `outputs`. With equal blocks B and k outputs each, left(i) = B i -
/// start(i) and right(i) = limit(i) - B (i + 1); the limit counts the last window of the shard, which the formula
/// printed in the paper leaves out.
constexpr HaloWidths halo_widths(Window const& window, Range own, Range outputs) {
  Range const needed = needed_range(window, outputs);
  return {own.begin - needed.begin, needed.end - own.end};
}

namespace detail {

/// The outputs that see an element of the tensor, and no zero between two, under window position `position`: `count`
/// outputs from `output` on, `output_step` apart, see elements from `element` on, `element_step` apart.
struct Taps {
  std::int64_t count = 0;
  std::int64_t output = 0;
  std::int64_t output_step = 1;
  std::int64_t element = 0;
  std::int64_t element_step = 1;
};

constexpr Taps taps_of(Window const& window, Range outputs, std::int64_t position) {
  std::int64_t const common = std::gcd(window.stride, window.base_dilation);
  Taps taps{0, 0, window.base_dilation / common, 0, window.stride / common};
  for (std::int64_t output = outputs.begin; output < std::min(outputs.end, outputs.begin + taps.output_step);
       ++output) {
    std::int64_t const place = output * window.stride - window.low + position * window.dilation;
    if (place % window.base_dilation != 0) continue;
    taps.output = output;
    taps.element = place / window.base_dilation;
    taps.count = ceil_divide(outputs.end - output, taps.output_step);
    break;
  }
  return taps;
}

}  // namespace detail
}  // namespace gshard
