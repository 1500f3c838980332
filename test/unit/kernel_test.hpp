// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include <Kokkos_Core.hpp>

#include <gshard/core/random.hpp>

/// What the tests of local kernels share: small views with given values, and central differences.
namespace gshard::test {

using Host = Kokkos::HostSpace;

template <class T>
using Vector = Kokkos::View<T*, Kokkos::LayoutRight, Host>;
template <class T>
using Matrix = Kokkos::View<T**, Kokkos::LayoutRight, Host>;
template <class T>
using Cube = Kokkos::View<T***, Kokkos::LayoutRight, Host>;
template <class T>
using Tesseract = Kokkos::View<T****, Kokkos::LayoutRight, Host>;

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A view of the given extents and values.
template <class View>
View filled(View view, std::vector<double> const& values) {
  REQUIRE(view.size() == values.size());
  for (std::size_t i = 0; i < values.size(); ++i) view.data()[i] = static_cast<typename View::value_type>(values[i]);
  return view;
}

template <class T>
Vector<T> vector_of(std::vector<double> const& values) {
  return filled(Vector<T>("vector", values.size()), values);
}

template <class T>
Matrix<T> matrix_of(std::vector<std::vector<double>> const& rows) {
  Matrix<T> result("matrix", rows.size(), rows.empty() ? 0 : rows[0].size());
  std::vector<double> values;
  for (auto const& row : rows) values.insert(values.end(), row.begin(), row.end());
  return filled(result, values);
}

/// Fills with numbers of [-1, 1) that depend on the stream and the place.
template <class View>
View drawn(View view, std::uint64_t stream) {
  for (std::size_t i = 0; i < view.size(); ++i)
    view.data()[i] = static_cast<typename View::value_type>(2 * random_uniform<double>(2006, stream, i) - 1);
  return view;
}

template <class View>
std::vector<double> values_of(View const& view) {
  return std::vector<double>(view.data(), view.data() + view.size());
}

/// Checks that all values are within `tolerance` of the right ones, relative to the larger of those and 1. A NaN is
/// near nothing.
inline void check_near(std::vector<double> const& values, std::vector<double> const& right, double tolerance) {
  REQUIRE(values.size() == right.size());
  double worst = 0;
  std::size_t place = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double const error = std::abs(values[i] - right[i]) / std::fmax(1.0, std::abs(right[i]));
    if (error <= worst) continue;
    worst = error;
    place = i;
    if (std::isnan(error)) break;
  }
  CAPTURE(place);
  CAPTURE(values.empty() ? 0.0 : values[place]);
  CAPTURE(right.empty() ? 0.0 : right[place]);
  CHECK(worst <= tolerance);
}
template <class View>
void check_near(View const& view, std::vector<double> const& right, double tolerance) {
  check_near(values_of(view), right, tolerance);
}

/// sum(a * b): a loss whose gradient with respect to a is b.
template <class Left, class Right>
double dot(Left const& a, Right const& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
  return sum;
}

/// The largest difference between `gradient` and the central differences of loss() with respect to x.
template <class View, class Loss>
double gradient_error(View x, View gradient, Loss const& loss, double step = 1e-5) {
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const kept = x.data()[i];
    x.data()[i] = kept + step;
    double const above = loss();
    x.data()[i] = kept - step;
    double const below = loss();
    x.data()[i] = kept;
    double const difference = std::abs(gradient.data()[i] - (above - below) / (2 * step));
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

}  // namespace gshard::test
