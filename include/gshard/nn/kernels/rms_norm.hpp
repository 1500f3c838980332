// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/column_sums.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

template <class T, class MemorySpace>
struct RmsNormKernel {
  Rank2<T const, MemorySpace> input;
  Rank1<T const, MemorySpace> gain;
  Rank2<T, MemorySpace> output;
  Rank1<gshard::detail::Computed<T>, MemorySpace> statistics;
  double epsilon;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(input, 1);
    using Number = gshard::detail::Computed<T>;
    T const* const x = input.data() + row * columns;
    T const* const g = gain.data();
    T* const y = output.data() + row * columns;
    // In double: squares of numbers that a float holds may be too large for one.
    double const squares = lanes.template sum<double>(
        columns, [=](std::int64_t j) { return static_cast<double>(x[j]) * static_cast<double>(x[j]); });
    Number const inverse = static_cast<Number>(1 / Kokkos::sqrt(squares / static_cast<double>(columns) + epsilon));
    lanes.each(columns, [=](std::int64_t j) { y[j] = static_cast<T>(x[j] * inverse * g[j]); });
    lanes.once([&] { statistics(row) = inverse; });
  }
};

template <class T, class MemorySpace>
struct RmsNormBackwardKernel {
  Rank2<T const, MemorySpace> input;
  Rank1<T const, MemorySpace> gain;
  Rank1<gshard::detail::Computed<T> const, MemorySpace> statistics;
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
    Number const inverse = statistics(row);
    Number const tilt = lanes.template sum<Number>(columns, [=](std::int64_t j) {
      return dy[j] * g[j] * (x[j] * inverse);
    }) / static_cast<Number>(columns);
    lanes.each(columns,
               [=](std::int64_t j) { dx[j] = static_cast<T>(inverse * (dy[j] * g[j] - x[j] * inverse * tilt)); });
  }
};

template <class T, class MemorySpace>
struct RmsNormParameterSums {
  static constexpr int sums = 1;
  Rank2<T const, MemorySpace> input;
  Rank1<gshard::detail::Computed<T> const, MemorySpace> statistics;
  Rank2<T const, MemorySpace> upstream;
  Rank1<T, MemorySpace> gain_gradient;

  KOKKOS_FORCEINLINE_FUNCTION void terms(std::int64_t, std::int64_t row, std::int64_t column,
                                         double (&out)[sums]) const {
    std::int64_t const place = row * extent(input, 1) + column;
    out[0] = upstream.data()[place] * (input.data()[place] * statistics.data()[row]);
  }
  KOKKOS_FORCEINLINE_FUNCTION void store(std::int64_t, std::int64_t column, double const (&totals)[sums]) const {
    gain_gradient(column) = static_cast<T>(totals[0]);
  }
};

/// Root-mean-square normalisation (Zhang and Sennrich 2019) of each row: y = x / sqrt(mean(x^2) + epsilon) * gain.
/// input, output (rows, M), which may be one; gain (M); statistics (rows): 1 / sqrt(...), for the backward pass, which
/// also needs `input` as it was.
template <class MemorySpace, class T>
void rms_norm(Rank2<T const, MemorySpace> input, Rank1<T const, MemorySpace> gain, Rank2<T, MemorySpace> output,
              Rank1<gshard::detail::Computed<T>, MemorySpace> statistics, double epsilon = 1e-6) {
  for_each_row<MemorySpace>("gshard::rms_norm", extent(input, 0),
                            RmsNormKernel<T, MemorySpace>{input, gain, output, statistics, epsilon});
}
GSHARD_COMPILED_FLOATS(rms_norm)

/// The gradient of rms_norm with respect to its input, which may take the place of `upstream` once the gain's is taken.
template <class MemorySpace, class T>
void rms_norm_backward(Rank2<T const, MemorySpace> input, Rank1<T const, MemorySpace> gain,
                       Rank1<gshard::detail::Computed<T> const, MemorySpace> statistics,
                       Rank2<T const, MemorySpace> upstream, Rank2<T, MemorySpace> gradient) {
  for_each_row<MemorySpace>("gshard::rms_norm_backward", extent(input, 0),
                            RmsNormBackwardKernel<T, MemorySpace>{input, gain, statistics, upstream, gradient});
}
GSHARD_COMPILED_FLOATS(rms_norm_backward)

/// The gradient of rms_norm with respect to gain (M), summed over these rows in double; it is overwritten.
template <class MemorySpace, class T>
void rms_norm_parameters_backward(Rank2<T const, MemorySpace> input,
                                  Rank1<gshard::detail::Computed<T> const, MemorySpace> statistics,
                                  Rank2<T const, MemorySpace> upstream, Rank1<T, MemorySpace> gain_gradient) {
  column_sums<MemorySpace>("gshard::rms_norm_parameters", 1, extent(input, 0), extent(input, 1),
                           RmsNormParameterSums<T, MemorySpace>{input, statistics, upstream, gain_gradient});
}
GSHARD_COMPILED_FLOATS(rms_norm_parameters_backward)

}  // namespace gshard::nn::detail
