// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <limits>
#include <vector>

#include "dense.hpp"

/// Reductions of whole tensors by plain loops.
namespace gshard::test {

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// The elements that each result is made of, in their order.
std::vector<Values> rows_of(Extents const& extents, Values const& values, std::vector<int> const& dimensions);

/// `function` of each of them.
Values reduced(Extents const& extents, Values const& values, std::vector<int> const& dimensions,
               std::function<double(Values const&)> const& function);

double sum_of(Values const& row);
double mean_of(Values const& row);
double norm_of(Values const& row);
double maximum_of(Values const& row);
double minimum_of(Values const& row);

/// `function` of each row along a dimension, which gives a row of as many elements.
Values along(Extents const& extents, Values const& values, int dimension,
             std::function<Values(Values const&)> const& function);

Values inclusive(Values row);
Values exclusive(Values const& row);

double sum_of_powers(Values const& row);
double log_sum_exp_of(Values const& row);
Values log_softmax_of(Values row);
Values softmax_of(Values row);

}  // namespace gshard::test
