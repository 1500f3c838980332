// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

#include "dense_reference.hpp"
#include "mpi_test.hpp"

/// Reductions of whole tensors by plain loops.
namespace gshard::test {

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;
using Values = std::vector<double>;

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// Even, uneven, tiny, and empty ones.
inline std::vector<Extents> const shapes = {{4, 6, 8}, {3, 5, 7}, {1, 2, 1}, {2, 0, 3}, {0, 2, 2}};

template <class Action>
void on_every_mesh(Action const& action) {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    INFO("mesh (", mesh.text(), ")");
    action(mesh);
  }
}

/// The elements that each result is made of, in their order.
inline std::vector<Values> rows_of(Extents const& extents, Values const& values, std::vector<int> const& dimensions) {
  auto const is_reduced = [&](int d) { return std::find(dimensions.begin(), dimensions.end(), d) != dimensions.end(); };
  std::int64_t count = 1;
  for (int d = 0; d < extents.size(); ++d)
    if (!is_reduced(d)) count *= extents[d];
  std::vector<Values> rows(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::int64_t rest = static_cast<std::int64_t>(i);
    std::int64_t row = 0;
    std::int64_t stride = 1;
    for (int d = extents.size() - 1; d >= 0; --d) {
      if (!is_reduced(d)) {
        row += rest % extents[d] * stride;
        stride *= extents[d];
      }
      rest /= extents[d];
    }
    rows[static_cast<std::size_t>(row)].push_back(values[i]);
  }
  return rows;
}

template <class Function>
Values reduced(Extents const& extents, Values const& values, std::vector<int> const& dimensions, Function const& function) {
  Values result;
  for (Values const& row : rows_of(extents, values, dimensions)) result.push_back(function(row));
  return result;
}

inline double sum_of(Values const& row) {
  double sum = 0;
  for (double value : row) sum += value;
  return sum;
}
inline double mean_of(Values const& row) { return sum_of(row) / static_cast<double>(row.size()); }
inline double norm_of(Values const& row) {
  double sum = 0;
  for (double value : row) sum += value * value;
  return std::sqrt(sum);
}
inline double maximum_of(Values const& row) {
  double result = -infinity;
  for (double value : row) result = std::max(result, value);
  return result;
}
inline double minimum_of(Values const& row) {
  double result = infinity;
  for (double value : row) result = std::min(result, value);
  return result;
}

/// difference, where NaN and infinities equal themselves.
template <class Tensor>
std::string exact_difference(Tensor const& tensor, Values expected) {
  Values const own = local_values(tensor);
  std::vector<std::size_t> const positions = global_positions(tensor);
  for (std::size_t i = 0; i < own.size(); ++i) {
    double const right = expected[positions[i]];
    bool const same = std::isnan(right) ? std::isnan(own[i]) : std::isinf(right) ? own[i] == right : std::abs(own[i] - right) <= 1e-14 * (1 + std::abs(right));
    if (!same) return "element " + std::to_string(positions[i]) + " is " + std::to_string(own[i]) + " instead of " + std::to_string(right);
  }
  return "";
}

}  // namespace gshard::test
