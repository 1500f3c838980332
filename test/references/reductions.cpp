// SPDX-License-Identifier: Apache-2.0
#include "reductions.hpp"

#include <algorithm>
#include <cmath>

namespace gshard::test {

std::vector<Values> rows_of(Extents const& extents, Values const& values, std::vector<int> const& dimensions) {
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

double sum_of(Values const& row) {
  double sum = 0;
  for (double value : row) sum += value;
  return sum;
}

double mean_of(Values const& row) { return sum_of(row) / static_cast<double>(row.size()); }

double norm_of(Values const& row) {
  double sum = 0;
  for (double value : row) sum += value * value;
  return std::sqrt(sum);
}

double maximum_of(Values const& row) {
  double result = -infinity;
  for (double value : row) result = std::max(result, value);
  return result;
}

double minimum_of(Values const& row) {
  double result = infinity;
  for (double value : row) result = std::min(result, value);
  return result;
}

Values reduced(Extents const& extents, Values const& values, std::vector<int> const& dimensions,
               std::function<double(Values const&)> const& function) {
  Values result;
  for (Values const& row : rows_of(extents, values, dimensions)) result.push_back(function(row));
  return result;
}

Values along(Extents const& extents, Values const& values, int dimension,
             std::function<Values(Values const&)> const& function) {
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

Values inclusive(Values row) {
  for (std::size_t i = 1; i < row.size(); ++i) row[i] += row[i - 1];
  return row;
}

Values exclusive(Values const& row) {
  Values result(row.size(), 0);
  for (std::size_t i = 1; i < row.size(); ++i) result[i] = result[i - 1] + row[i - 1];
  return result;
}

double sum_of_powers(Values const& row) {
  double const largest = maximum_of(row);
  double sum = 0;
  for (double value : row) sum += value == -infinity ? 0 : std::exp(value - largest);
  return sum;
}

double log_sum_exp_of(Values const& row) {
  return maximum_of(row) == -infinity ? -infinity : maximum_of(row) + std::log(sum_of_powers(row));
}

Values log_softmax_of(Values row) {
  double const largest = maximum_of(row);
  double const sum = sum_of_powers(row);
  for (double& value : row) value = (value - largest) - std::log(sum);
  return row;
}

Values softmax_of(Values row) {
  double const largest = maximum_of(row);
  double const sum = sum_of_powers(row);
  for (double& value : row) value = std::exp(value - largest) / sum;
  return row;
}

}  // namespace gshard::test
