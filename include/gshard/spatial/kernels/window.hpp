// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <gshard/tensor/shard_range.hpp>

namespace gshard {

/// Sliding window along one dimension. Output o sees the positions o stride - low + k dilation, 0 <= k < size, of the
/// dilated base. Element j of the tensor is at position j base_dilation of the base; the positions between are zeros.
/// Source: paper 3.3.3, A.4.
struct Window {
  std::int64_t size = 1;           ///< number of window elements
  std::int64_t stride = 1;         ///< positions between the windows of neighbouring outputs
  std::int64_t low = 0;            ///< padding before the dilated base; negative: positions cropped
  std::int64_t high = 0;           ///< padding after the dilated base; negative: positions cropped
  std::int64_t dilation = 1;       ///< positions between neighbouring window elements
  std::int64_t base_dilation = 1;  ///< positions between neighbouring elements of the tensor

  /// Largest stride, absolute padding, size times dilation, and extent times base_dilation that operations accept;
  /// keeps positions within 64 bits.
  static constexpr std::int64_t max_size = std::int64_t{1} << 59;

  /// Returns the number of positions from the first window element to the last, both included.
  constexpr std::int64_t span() const { return 1 + (size - 1) * dilation; }

  /// Returns the number of outputs over `extent` elements.
  constexpr std::int64_t outputs(std::int64_t extent) const {
    std::int64_t const full = (extent == 0 ? 0 : (extent - 1) * base_dilation + 1) + low + high;
    return full < span() ? 0 : (full - span()) / stride + 1;
  }
};

namespace detail {

/// Returns ceil(numerator / denominator). Precondition: denominator > 0.
constexpr std::int64_t ceil_divide(std::int64_t numerator, std::int64_t denominator) {
  return numerator >= 0 ? (numerator + denominator - 1) / denominator : -(-numerator / denominator);
}

}  // namespace detail

/// Returns the range of elements that `outputs` see. It may reach outside the tensor, and is empty for no outputs.
constexpr Range needed_range(Window const& window, Range outputs) {
  if (outputs.size() <= 0) return {};
  std::int64_t const first = outputs.begin * window.stride - window.low;
  std::int64_t const end = (outputs.end - 1) * window.stride - window.low + window.span();
  Range const range{detail::ceil_divide(first, window.base_dilation), detail::ceil_divide(end, window.base_dilation)};
  return {range.begin, std::max(range.begin, range.end)};
}

/// Number of elements that a block lacks on each side; negative if it has more than it needs.
/// Source: paper fig. 11 and 12.
struct HaloWidths {
  std::int64_t left = 0;
  std::int64_t right = 0;
  friend constexpr bool operator==(HaloWidths const&, HaloWidths const&) = default;
};

/// Returns the halo of a rank that holds the elements `own` and computes `outputs`.
/// With blocks of B elements, block i has left(i) = B i - start(i) and right(i) = limit(i) - B (i + 1), where
/// [start(i), limit(i)) are the elements that its outputs see. The limit includes the last window of the block; the
/// formula printed in the paper (3.3.3) leaves it out.
constexpr HaloWidths halo_widths(Window const& window, Range own, Range outputs) {
  Range const needed = needed_range(window, outputs);
  return {own.begin - needed.begin, needed.end - own.end};
}

namespace detail {

/// Pairs of outputs and elements under one window position: output `output` + i output_step sees element `element` + i
/// element_step, 0 <= i < count. Leaves out outputs that see a zero of the base dilation. An element may be outside the
/// tensor, in the padding.
struct Taps {
  std::int64_t count = 0;
  std::int64_t output = 0;
  std::int64_t output_step = 1;
  std::int64_t element = 0;
  std::int64_t element_step = 1;
};

/// Returns the taps of `outputs` under window position `position`.
constexpr Taps taps_of(Window const& window, Range outputs, std::int64_t position) {
  std::int64_t const common = std::gcd(window.stride, window.base_dilation);
  Taps taps{0, 0, window.base_dilation / common, 0, window.stride / common};
  // The hits repeat every output_step outputs: one period finds the first, or shows that there is none.
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
