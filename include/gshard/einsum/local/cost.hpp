// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/einsum/local/units.hpp>

namespace gshard::detail {

/// Costs in units of one multiplication of a large matrix product (about 1/50 ns in float), measured on one x86-64 core
/// with OpenBLAS. They rank the ways to carry out a contraction; they do not predict its time.
struct Cost {
  static constexpr double call = 4000;         ///< per library call, or per launch of a direct kernel
  static constexpr double touch = 6;           ///< per element of A, B and C of a matrix product
  static constexpr double permute = 64;        ///< per element permuted to or from a temporary
  static constexpr double vector = 16;         ///< per multiplication in a contiguous inner loop of a direct kernel
  static constexpr double vector_start = 400;  ///< per contiguous inner loop
  static constexpr double row_start = 2000;    ///< per row of outputs of a direct kernel
  static constexpr double scalar = 64;         ///< per multiplication in a strided inner loop of a direct kernel
  static constexpr double dot = 50;            ///< per multiplication of a contiguous row by a contiguous column
  static constexpr double strided_dot = 400;   ///< the same, if the row or the column is strided
};

/// Returns whether an output loop reads each operand contiguously or not at all, and at least one of them.
constexpr bool is_contiguous_output(Unit const& unit) {
  std::int64_t const a = unit.strides[operand_a];
  std::int64_t const b = unit.strides[operand_b];
  return unit.in(operand_c) && (a == 0 || a == 1) && (b == 0 || b == 1) && a + b > 0;
}

/// Returns whether a summing loop reads its operands contiguously.
constexpr bool is_contiguous_sum(Unit const& unit, bool binary) {
  return !unit.in(operand_c) && unit.strides[operand_a] == 1 && (!binary || unit.strides[operand_b] == 1);
}

/// Returns the cost of `calls` matrix products (m, k) by (k, n). `contiguous` matters only if m = n = 1.
constexpr double matrix_product_cost(double calls, double m, double n, double k, bool contiguous) {
  if (m * n == 1) return calls * (Cost::call + k * (contiguous ? Cost::dot : Cost::strided_dot));
  return calls * (Cost::call + m * n * k + Cost::touch * (m * n + m * k + n * k));
}

/// Returns the cost of the contraction by the kernels of direct.hpp.
constexpr double direct_cost(Units const& units) {
  double const total = static_cast<double>(iterations(units));
  double outputs = 1;
  for (Unit const& unit : units)
    if (unit.in(operand_c)) outputs *= static_cast<double>(unit.extent);
  double best = total * Cost::scalar;
  for (Unit const& unit : units) {
    double const extent = static_cast<double>(unit.extent);
    double const loops = total * Cost::vector + total / extent * Cost::vector_start;
    if (is_contiguous_sum(unit, true) && loops < best) best = loops;
    if (is_contiguous_output(unit) && loops + outputs / extent * Cost::row_start < best)
      best = loops + outputs / extent * Cost::row_start;
  }
  return Cost::call + best;
}

}  // namespace gshard::detail
