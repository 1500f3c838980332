// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/rows.hpp>
#include <gshard/expr/functions.hpp>

namespace gshard::optim::detail {

/// (scale * gradient)^2 + epsilon.
template <class T>
struct ScaledSquare : gshard::functions::NotLinear {
  using stored_type = T;
  T scale;
  T epsilon;

  ScaledSquare(T factor, T added) : scale(factor), epsilon(added) {}

  template <class Gradient>
  KOKKOS_FUNCTION T operator()(Gradient gradient) const {
    T const g = scale * static_cast<T>(gradient);
    return g * g + epsilon;
  }
};

struct InverseRoot : gshard::functions::NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return T(1) / Kokkos::sqrt(x);
  }
};

/// The update of an element with a second moment of its own.
template <class T>
struct WholeUpdate : gshard::functions::NotLinear {
  using stored_type = T;
  T scale;

  explicit WholeUpdate(T factor) : scale(factor) {}

  template <class Gradient>
  KOKKOS_FUNCTION T operator()(Gradient gradient, T square) const {
    return scale * static_cast<T>(gradient) / Kokkos::sqrt(square);
  }
};

template <class T, class Gradient, class Weights>
struct ApplyWhole {
  Weights weights;
  Gradient const* gradient;
  T const* squares;
  WholeUpdate<T> update;
  T rate;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    weights.set(i, weights.get(i) - rate * update(static_cast<T>(gradient[i]), squares[i]));
  }
};

/// The updates of matrices (.., rows, columns) from means along rows and columns. A product of two roots and no root of
/// a product: squares of tiny means are 0.
template <class T, class Gradient>
struct FactoredUpdate {
  Gradient const* gradient;
  T const* row_means;
  T const* means;
  T const* column_factors;  ///< the inverse roots of the means along columns
  std::int64_t rows;        ///< of a matrix
  std::int64_t columns;
  T scale;

  KOKKOS_FORCEINLINE_FUNCTION T row_factor(std::int64_t row) const {
    return scale / Kokkos::sqrt(row_means[row] / means[row / rows]);
  }
  KOKKOS_FORCEINLINE_FUNCTION T const* factors_of(std::int64_t row) const {
    return column_factors + row / rows * columns;
  }
};

template <class T, class Gradient>
struct SquaresOfRows {
  FactoredUpdate<T, Gradient> update;
  double* sums;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    T const row_factor = update.row_factor(row);
    T const* const factors = update.factors_of(row);
    Gradient const* const gradient = update.gradient + row * update.columns;
    double const sum = lanes.template sum<double>(update.columns, [&](std::int64_t j) {
      T const u = static_cast<T>(gradient[j]) * row_factor * factors[j];
      return u * u;
    });
    lanes.once([&] { sums[row] = sum; });
  }
};

template <class T, class Gradient, class Weights>
struct ApplyToRows {
  FactoredUpdate<T, Gradient> update;
  Weights weights;
  T rate;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    T const row_factor = update.row_factor(row);
    T const* const factors = update.factors_of(row);
    std::int64_t const begin = row * update.columns;
    lanes.each(update.columns, [&](std::int64_t j) {
      std::int64_t const i = begin + j;
      weights.set(i, weights.get(i) - rate * (static_cast<T>(update.gradient[i]) * row_factor * factors[j]));
    });
  }
};

}  // namespace gshard::optim::detail
