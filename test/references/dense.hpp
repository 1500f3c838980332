// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gshard/core/static_vector.hpp>

/// Tensors as plain vectors in row-major order. What tests compare with is here and beside it: loops over such vectors,
/// compiled once, and optimised where tests are not, since they are most of what tests compute.
namespace gshard::test {

using Values = std::vector<double>;

/// A tensor as its extents and elements.
struct Dense {
  Extents extents;
  Values values;
};

// ---- Values

/// Element `position` of the tensor number `seed`: a small integer, so that sums of products are exact in every element
/// type.
constexpr double small_integer(std::int64_t seed, std::int64_t position) {
  return static_cast<double>((position * 7 + seed * 13 + position / 5) % 9 - 4);
}

/// Something smooth between -1 and 1 for the rest.
inline double smooth(std::int64_t seed, std::int64_t position) {
  return std::sin(0.7 * static_cast<double>(position) + 1.3 * static_cast<double>(seed) + 0.1);
}

using ValueOfPosition = double (*)(std::int64_t seed, std::int64_t position);

/// `value(seed, position)` of each position, summed over `parts` seeds from `seed` on.
Values dense_values(Extents const& extents, std::int64_t seed, int parts = 1, ValueOfPosition value = small_integer);

/// Something smooth between -1 and 1.
Dense smooth_values(Extents const& extents, std::int64_t seed);

// ---- Blocks

/// The row-major positions in a tensor of a block's elements, in the order in which the block holds them.
std::vector<std::size_t> block_positions(Extents const& extents, Extents const& begins, Extents const& block);

Values elements_at(Values const& elements, std::vector<std::size_t> const& positions);
void add_elements(Values& elements, std::vector<std::size_t> const& positions, Values const& added);

// ---- Comparisons

/// Whether two numbers are close, relatively to `1 + |expected|`; infinity is close to itself alone, and so is NaN.
bool is_close(double found, double expected, double tolerance);

/// Says where two lists of numbers differ first, or "".
std::string difference(Values const& found, Values const& expected, double tolerance = 0);

// ---- Gradients

/// The sum of all elements, each times a number of its own, so that their gradients differ.
double weighted_sum(Values const& values);

/// The derivative of `loss()` with respect to each element of `input`. To be called by all ranks of the run with the
/// same arguments: each takes a share of the elements, and one MPI call puts them together.
Values central_differences(std::function<double()> const& loss, Values& input, double step = 1e-5);

// ---- Einsums

/// The sum of products that `subscripts` spells, by loops over all letters.
Dense dense_einsum(std::string_view subscripts, std::vector<Dense> const& operands);

}  // namespace gshard::test
