// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/column_sums.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

template <class T, class MemorySpace>
struct LayerNormKernel {
  Rank2<T const, MemorySpace> input;
  Rank1<T const, MemorySpace> gain;
  Rank1<T const, MemorySpace> bias;
  Rank2<T, MemorySpace> output;
  Rank2<gshard::detail::Computed<T>, MemorySpace> statistics;
  double epsilon;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(input, 1);
    using Number = gshard::detail::Computed<T>;
    T const* const x = input.data() + row * columns;
    T const* const g = gain.data();
    T const* const b = bias.data();
    T* const y = output.data() + row * columns;
    // In double: squares of numbers that a float holds may be too large for one.
    double const average = lanes.template sum<double>(columns, [=](std::int64_t j) {
      return static_cast<double>(x[j]);
    }) / static_cast<double>(columns);
    Number const mean = static_cast<Number>(average);
    double const squares = lanes.template sum<double>(columns, [=](std::int64_t j) {
      double const difference = static_cast<double>(x[j]) - average;
      return difference * difference;
    });
    Number const inverse = static_cast<Number>(1 / Kokkos::sqrt(squares / static_cast<double>(columns) + epsilon));
    lanes.each(columns, [=](std::int64_t j) { y[j] = static_cast<T>((x[j] - mean) * inverse * g[j] + b[j]); });
    lanes.once([&] {
      statistics(row, 0) = mean;
      statistics(row, 1) = inverse;
    });
  }
};

template <class T, class MemorySpace>
struct LayerNormBackwardKernel {
  Rank2<T const, MemorySpace> input;
  Rank1<T const, MemorySpace> gain;
  Rank2<gshard::detail::Computed<T> const, MemorySpace> statistics;
  Rank2<T const, MemorySpace> upstream;
  Rank2<T, MemorySpace> gradient;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(input, 1);
    T const* const x = input.data() + row * columns;
    T const* const g = gain.data();
    using Number = gshard::detail::Computed<T>;
    T const* const dy = upstream.data() + row * columns;
    T* const dx = gradient.data() + row * columns;
    Number const mean = statistics(row, 0);
    Number const inverse = statistics(row, 1);
    Number const shift = lanes.template sum<Number>(columns, [=](std::int64_t j) { return dy[j] * g[j]; }) /
                         static_cast<Number>(columns);
    Number const tilt = lanes.template sum<Number>(columns, [=](std::int64_t j) {
      return dy[j] * g[j] * ((x[j] - mean) * inverse);
    }) / static_cast<Number>(columns);
    lanes.each(columns, [=](std::int64_t j) {
      dx[j] = static_cast<T>(inverse * (dy[j] * g[j] - shift - (x[j] - mean) * inverse * tilt));
    });
  }
};

template <class T, class MemorySpace>
struct LayerNormParameterSums {
  static constexpr int sums = 2;
  Rank2<T const, MemorySpace> input;
  Rank2<gshard::detail::Computed<T> const, MemorySpace> statistics;
  Rank2<T const, MemorySpace> upstream;
  Rank1<T, MemorySpace> gain_gradient;
  Rank1<T, MemorySpace> bias_gradient;

  KOKKOS_FORCEINLINE_FUNCTION void terms(std::int64_t, std::int64_t row, std::int64_t column,
                                         double (&out)[sums]) const {
    std::int64_t const place = row * extent(input, 1) + column;
    gshard::detail::Computed<T> const dy = upstream.data()[place];
    out[0] = dy * ((input.data()[place] - statistics.data()[2 * row]) * statistics.data()[2 * row + 1]);
    out[1] = dy;
  }
  KOKKOS_FORCEINLINE_FUNCTION void store(std::int64_t, std::int64_t column, double const (&totals)[sums]) const {
    gain_gradient(column) = static_cast<T>(totals[0]);
    bias_gradient(column) = static_cast<T>(totals[1]);
  }
};

/// Layer normalisation (Ba et al. 2016) of each row: y = (x - mean) / sqrt(variance + epsilon) * gain + bias, with the
/// variance over the columns (not columns - 1). input, output (rows, M), which may be one; gain, bias (M); statistics
/// (rows, 2): mean and 1 / sqrt(...), for the backward pass, which also needs `input` as it was.
template <class MemorySpace, class T>
void layer_norm(Rank2<T const, MemorySpace> input, Rank1<T const, MemorySpace> gain, Rank1<T const, MemorySpace> bias,
                Rank2<T, MemorySpace> output, Rank2<gshard::detail::Computed<T>, MemorySpace> statistics,
                double epsilon = 1e-6) {
  for_each_row<MemorySpace>("gshard::layer_norm", extent(input, 0),
                            LayerNormKernel<T, MemorySpace>{input, gain, bias, output, statistics, epsilon});
}
GSHARD_COMPILED_FLOATS(layer_norm)

/// The gradient of layer_norm with respect to its input, which may take the place of `upstream` once the parameters'
/// are taken.
template <class MemorySpace, class T>
void layer_norm_backward(Rank2<T const, MemorySpace> input, Rank1<T const, MemorySpace> gain,
                         Rank2<gshard::detail::Computed<T> const, MemorySpace> statistics,
                         Rank2<T const, MemorySpace> upstream, Rank2<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>("gshard::layer_norm_backward", extent(input, 0),
                            LayerNormBackwardKernel<T, MemorySpace>{input, gain, statistics, upstream, gradient});
}
GSHARD_COMPILED_FLOATS(layer_norm_backward)

/// The gradients of layer_norm with respect to gain and bias (M), summed over these rows in double; both are
/// overwritten.
template <class MemorySpace, class T>
void layer_norm_parameters_backward(Rank2<T const, MemorySpace> input,
                                    Rank2<gshard::detail::Computed<T> const, MemorySpace> statistics,
                                    Rank2<T const, MemorySpace> upstream, Rank1<T, MemorySpace> gain_gradient,
                                    Rank1<T, MemorySpace> bias_gradient) {
  column_sums<MemorySpace>(
      "gshard::layer_norm_parameters", 1, extent(input, 0), extent(input, 1),
      LayerNormParameterSums<T, MemorySpace>{input, statistics, upstream, gain_gradient, bias_gradient});
}
GSHARD_COMPILED_FLOATS(layer_norm_parameters_backward)

}  // namespace gshard::nn::detail
