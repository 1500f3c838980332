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
Values reduced(Extents const& extents, Values const& values, std::vector<int> const& dimensions,
               Function const& function) {
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
    bool const same = std::isnan(right)   ? std::isnan(own[i])
                      : std::isinf(right) ? own[i] == right
                                          : std::abs(own[i] - right) <= 1e-14 * (1 + std::abs(right));
    if (!same)
      return "element " + std::to_string(positions[i]) + " is " + std::to_string(own[i]) + " instead of " +
             std::to_string(right);
  }
  return "";
}

/// `function` of each row along a dimension, which gives a row of as many elements.
template <class Function>
Values along(Extents const& extents, Values const& values, int dimension, Function const& function) {
  std::int64_t inner = 1;
  for (int d = dimension + 1; d < extents.size(); ++d) inner *= extents[d];
  std::int64_t const length = extents[dimension];
  Values result(values.size());
  std::int64_t const rows = length == 0 ? 0 : static_cast<std::int64_t>(values.size()) / length;
  for (std::int64_t row = 0; row < rows; ++row) {
    auto const position = [&](std::int64_t k) {
      return static_cast<std::size_t>((row / inner * length + k) * inner + row % inner);
    };
    Values line;
    for (std::int64_t k = 0; k < length; ++k) line.push_back(values[position(k)]);
    Values const found = function(line);
    for (std::int64_t k = 0; k < length; ++k) result[position(k)] = found[static_cast<std::size_t>(k)];
  }
  return result;
}

inline Values inclusive(Values row) {
  for (std::size_t i = 1; i < row.size(); ++i) row[i] += row[i - 1];
  return row;
}
inline Values exclusive(Values const& row) {
  Values result(row.size(), 0);
  for (std::size_t i = 1; i < row.size(); ++i) result[i] = result[i - 1] + row[i - 1];
  return result;
}

inline double sum_of_powers(Values const& row) {
  double const largest = maximum_of(row);
  double sum = 0;
  for (double value : row) sum += value == -infinity ? 0 : std::exp(value - largest);
  return sum;
}
inline double log_sum_exp_of(Values const& row) {
  return maximum_of(row) == -infinity ? -infinity : maximum_of(row) + std::log(sum_of_powers(row));
}
inline Values log_softmax_of(Values row) {
  double const largest = maximum_of(row);
  double const sum = sum_of_powers(row);
  for (double& value : row) value = (value - largest) - std::log(sum);
  return row;
}
inline Values softmax_of(Values row) {
  double const largest = maximum_of(row);
  double const sum = sum_of_powers(row);
  for (double& value : row) value = std::exp(value - largest) / sum;
  return row;
}

}  // namespace gshard::test
