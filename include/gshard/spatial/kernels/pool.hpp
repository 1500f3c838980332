// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/extremes.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/spatial/kernels/window.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard::detail {

/// Maps positions between a rank's output block and its input box, both (N, space..., C), packed.
template <int Rank>
struct PoolGeometry {
  Window windows[Rank];
  std::int64_t extents[Rank];  // global extents of the spatial dimensions of x
  Extents input_offsets;
  Extents input_extents;
  Extents output_offsets;
  Extents output_extents;

  PoolGeometry(std::array<Window, static_cast<std::size_t>(Rank)> const& moving, Extents const& whole,
               Block const& input, Block const& output)
      : input_offsets(input.offsets),
        input_extents(input.extents),
        output_offsets(output.offsets),
        output_extents(output.extents) {
    for (int d = 0; d < Rank; ++d) {
      windows[d] = moving[static_cast<std::size_t>(d)];
      extents[d] = whole[d + 1];
    }
  }

  KOKKOS_FUNCTION std::int64_t window_size() const {
    std::int64_t size = 1;
    for (int d = 0; d < Rank; ++d) size *= windows[d].size;
    return size;
  }

  /// Computes the index of the element at a row-major position in a block of extents `of`.
  KOKKOS_FUNCTION static void split(std::int64_t position, Extents const& of, std::int64_t (&index)[Rank + 2]) {
    for (int d = Rank + 1; d >= 0; --d) {
      index[d] = position % of[d];
      position /= of[d];
    }
  }

  /// Returns the position in the input box of the element that an output sees under `window_position`, or -1 if that is
  /// outside the tensor.
  KOKKOS_FUNCTION std::int64_t input_position(std::int64_t const (&output)[Rank + 2],
                                              std::int64_t window_position) const {
    std::int64_t index[Rank];
    for (int d = Rank - 1; d >= 0; --d) {
      Window const& window = windows[d];
      index[d] = (output[d + 1] + output_offsets[d + 1]) * window.stride - window.low +
                 window_position % window.size * window.dilation;
      if (index[d] < 0 || index[d] >= extents[d]) return -1;
      window_position /= window.size;
    }
    std::int64_t position = output[0];
    for (int d = 0; d < Rank; ++d) position = position * input_extents[d + 1] + index[d] - input_offsets[d + 1];
    return position * input_extents[Rank + 1] + output[Rank + 1];
  }

  /// Returns the position in the output block of the output that sees an element under `window_position`, or -1 if this
  /// rank has no such output.
  KOKKOS_FUNCTION std::int64_t output_position(std::int64_t const (&input)[Rank + 2],
                                               std::int64_t window_position) const {
    std::int64_t index[Rank];
    for (int d = Rank - 1; d >= 0; --d) {
      Window const& window = windows[d];
      std::int64_t const place =
          input[d + 1] + input_offsets[d + 1] + window.low - window_position % window.size * window.dilation;
      if (place < 0 || place % window.stride != 0) return -1;
      index[d] = place / window.stride - output_offsets[d + 1];
      if (index[d] < 0 || index[d] >= output_extents[d + 1]) return -1;
      window_position /= window.size;
    }
    std::int64_t position = input[0];
    for (int d = 0; d < Rank; ++d) position = position * output_extents[d + 1] + index[d];
    return position * output_extents[Rank + 1] + input[Rank + 1];
  }

  /// Returns the number of elements of the tensor that an output sees.
  KOKKOS_FUNCTION std::int64_t seen(std::int64_t output_position) const {
    std::int64_t output[Rank + 2];
    split(output_position, output_extents, output);
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < window_size(); ++k) count += input_position(output, k) >= 0 ? 1 : 0;
    return count;
  }
};

/// Writes the maximum that each output sees to `y`, and the window position of its first occurrence to `chosen`. If an
/// output sees a NaN, both are those of the first NaN; if it sees no element, they are lowest_of<T>() and -1.
template <class T, int Rank>
struct MaxPool {
  PoolGeometry<Rank> geometry;
  T const* x;
  T* y;
  int* chosen;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    std::int64_t output[Rank + 2];
    geometry.split(position, geometry.output_extents, output);
    T largest = lowest_of<T>();
    int best = -1;
    for (std::int64_t k = 0; k < geometry.window_size(); ++k) {
      std::int64_t const from = geometry.input_position(output, k);
      if (from < 0 || (best >= 0 && !is_larger(x[from], largest))) continue;
      largest = x[from];
      best = static_cast<int>(k);
    }
    y[position] = largest;
    chosen[position] = best;
  }
};

/// Sums, for each element of the input box, the gradients of the outputs that chose it. One work item per element needs
/// no atomics, so that the rounding is the same in each run.
template <class T, int Rank>
struct MaxPoolGradient {
  PoolGeometry<Rank> geometry;
  T const* y_gradient;
  int const* chosen;
  Computed<T>* x_gradient;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    std::int64_t input[Rank + 2];
    geometry.split(position, geometry.input_extents, input);
    Computed<T> sum = 0;
    for (std::int64_t k = 0; k < geometry.window_size(); ++k) {
      std::int64_t const from = geometry.output_position(input, k);
      if (from >= 0 && chosen[from] == k) sum += y_gradient[from];
    }
    x_gradient[position] = sum;
  }
};

/// Divides the sum of the elements that each output sees by their number, or with `count_padding` by the window size.
template <class T, int Rank>
struct AveragePool {
  PoolGeometry<Rank> geometry;
  bool count_padding;
  T const* x;
  T* y;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    std::int64_t output[Rank + 2];
    geometry.split(position, geometry.output_extents, output);
    Computed<T> sum = 0;
    std::int64_t seen = 0;
    for (std::int64_t k = 0; k < geometry.window_size(); ++k) {
      std::int64_t const from = geometry.input_position(output, k);
      if (from < 0) continue;
      sum += x[from];
      ++seen;
    }
    std::int64_t const count = count_padding ? geometry.window_size() : seen;
    y[position] = static_cast<T>(count == 0 ? Computed<T>(0) : sum / static_cast<Computed<T>>(count));
  }
};

/// Sums, for each element of the input box, the gradients of the outputs that see it, each over its divisor.
template <class T, int Rank>
struct AveragePoolGradient {
  PoolGeometry<Rank> geometry;
  bool count_padding;
  T const* y_gradient;
  Computed<T>* x_gradient;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    std::int64_t input[Rank + 2];
    geometry.split(position, geometry.input_extents, input);
    Computed<T> sum = 0;
    for (std::int64_t k = 0; k < geometry.window_size(); ++k) {
      std::int64_t const from = geometry.output_position(input, k);
      if (from >= 0)
        sum +=
            y_gradient[from] / static_cast<Computed<T>>(count_padding ? geometry.window_size() : geometry.seen(from));
    }
    x_gradient[position] = sum;
  }
};

}  // namespace gshard::detail
