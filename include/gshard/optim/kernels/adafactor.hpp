// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/rows.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/optim/kernels/root_of_squares.hpp>

namespace gshard::optim::detail {

/// (scale * gradient)^2 + epsilon, in double, which holds the squares of all floats.
struct ScaledSquare : gshard::functions::NotLinear {
  using stored_type = double;
  double scale;
  double epsilon;

  ScaledSquare(double factor, double added) : scale(factor), epsilon(added) {}

  template <class Gradient>
  KOKKOS_FUNCTION double operator()(Gradient gradient) const {
    double const g = scale * static_cast<double>(gradient);
    return g * g + epsilon;
  }
};

struct InverseRoot : gshard::functions::NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return T(1) / Kokkos::sqrt(x);
  }
};

/// The root of decay * root^2 + (1 - decay) * ((scale * gradient)^2 + epsilon).
template <class T>
struct DecayedRoot : gshard::functions::NotLinear {
  using stored_type = T;
  T kept;   ///< sqrt(decay)
  T added;  ///< sqrt(1 - decay)
  T scale;
  T epsilon_root;

  DecayedRoot(double decay, double factor, double epsilon)
      : kept(static_cast<T>(Kokkos::sqrt(decay))),
        added(static_cast<T>(Kokkos::sqrt(1 - decay))),
        scale(static_cast<T>(factor)),
        epsilon_root(static_cast<T>(Kokkos::sqrt(epsilon))) {}

  template <class Gradient>
  KOKKOS_FUNCTION T operator()(T root, Gradient gradient) const {
    return root_of_squares(kept * root, added * root_of_squares(scale * static_cast<T>(gradient), epsilon_root));
  }
};

/// The update of an element with a second moment of its own: 0 where the gradient is, also without epsilon.
template <class T>
struct WholeUpdate : gshard::functions::NotLinear {
  using stored_type = T;
  T scale;

  explicit WholeUpdate(T factor) : scale(factor) {}

  template <class Gradient>
  KOKKOS_FUNCTION T operator()(Gradient gradient, T root) const {
    T const g = scale * static_cast<T>(gradient);
    return g == T(0) ? T(0) : g / root;
  }
};

template <class T, class Gradient, class Weights>
struct ApplyWhole {
  Weights weights;
  Gradient const* gradient;
  T const* roots;
  WholeUpdate<T> update;
  T rate;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    weights.set(i, weights.get(i) - rate * update(static_cast<T>(gradient[i]), roots[i]));
  }
};

/// The updates of matrices (.., rows, columns) from means along rows and columns. A product of two roots and no root of
/// a product: squares of tiny means are 0.
template <class Gradient>
struct FactoredUpdate {
  Gradient const* gradient;
  double const* row_means;
  double const* means;
  double const* column_factors;  ///< the inverse roots of the means along columns
  std::int64_t rows;             ///< of a matrix
  std::int64_t columns;
  double scale;

  KOKKOS_FORCEINLINE_FUNCTION double row_factor(std::int64_t row) const {
    return scale / Kokkos::sqrt(row_means[row] / means[row / rows]);
  }
  KOKKOS_FORCEINLINE_FUNCTION double const* factors_of(std::int64_t row) const {
    return column_factors + row / rows * columns;
  }
  /// The update of an element: 0 where its gradient is, also without epsilon.
  KOKKOS_FORCEINLINE_FUNCTION static double element(Gradient gradient, double row_factor, double column_factor) {
    double const g = static_cast<double>(gradient);
    return g == 0 ? 0 : g * row_factor * column_factor;
  }
};

template <class Gradient>
struct SquaresOfRows {
  FactoredUpdate<Gradient> update;
  double* sums;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    double const row_factor = update.row_factor(row);
    double const* const factors = update.factors_of(row);
    Gradient const* const gradient = update.gradient + row * update.columns;
    double const sum = lanes.template sum<double>(update.columns, [&](std::int64_t j) {
      double const u = update.element(gradient[j], row_factor, factors[j]);
      return u * u;
    });
    lanes.once([&] { sums[row] = sum; });
  }
};

template <class T, class Gradient, class Weights>
struct ApplyToRows {
  FactoredUpdate<Gradient> update;
  Weights weights;
  double rate;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    double const row_factor = update.row_factor(row);
    double const* const factors = update.factors_of(row);
    std::int64_t const begin = row * update.columns;
    lanes.each(update.columns, [&](std::int64_t j) {
      std::int64_t const i = begin + j;
      double const change = rate * update.element(update.gradient[i], row_factor, factors[j]);
      weights.set(i, weights.get(i) - static_cast<T>(change));
    });
  }
};

}  // namespace gshard::optim::detail
