// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/static_vector.hpp>
#include <gshard/einsum/local/cost.hpp>
#include <gshard/einsum/local/local_tensor.hpp>
#include <gshard/einsum/local/units.hpp>

namespace gshard::detail {

/// Way to carry out one contraction c = a * b. Units that are not a matrix dimension become loops around the matrix
/// products.
struct Lowering {
  Units given;          ///< fused units of the tensors as given
  Units packed;         ///< the same units, with packed strides in the temporaries of permuted tensors
  Units units;          ///< `packed`, fused: the matrix products and the loops run over these
  int m = -1;           ///< unit of the rows, -1 for one row
  int n = -1;           ///< unit of the columns, -1 for one column
  int k = -1;           ///< unit of the sum, -1 for a single term
  bool permuted[3]{};   ///< which of a, b, c goes through a temporary
  bool direct = false;  ///< run the direct kernels over `given` instead of matrix products
  double cost = 0;      ///< in units of `Cost`

  constexpr bool copies() const { return permuted[operand_a] || permuted[operand_b] || permuted[operand_c]; }
  constexpr std::int64_t extent(int unit) const { return unit < 0 ? 1 : units[unit].extent; }
  constexpr std::int64_t stride(int unit, int operand) const { return unit < 0 ? 0 : units[unit].strides[operand]; }
  constexpr bool is_loop(int unit) const { return unit != m && unit != n && unit != k; }
  constexpr Labels letters(int unit) const { return unit < 0 ? Labels{} : units[unit].letters; }
};

/// Returns whether BLAS takes the matrix that units `first` and `second` (-1: one row or column) make of a tensor: one
/// of them has stride 1, and the stride of the other is at least the extent of that one.
constexpr bool is_matrix(Lowering const& lowering, int first, int second, int operand) {
  if (first < 0 || second < 0) return true;
  std::int64_t const first_stride = lowering.stride(first, operand);
  std::int64_t const second_stride = lowering.stride(second, operand);
  return (second_stride == 1 && first_stride >= lowering.extent(second)) ||
         (first_stride == 1 && second_stride >= lowering.extent(first));
}

/// Returns whether BLAS takes all three tensors without a copy.
constexpr bool is_matrix_product(Lowering const& lowering) {
  return is_matrix(lowering, lowering.m, lowering.k, operand_a) &&
         is_matrix(lowering, lowering.k, lowering.n, operand_b) &&
         is_matrix(lowering, lowering.m, lowering.n, operand_c);
}

/// Returns the cost of the matrix products of a lowering.
constexpr double matrix_product_cost(Lowering const& lowering) {
  double const m = static_cast<double>(lowering.extent(lowering.m));
  double const n = static_cast<double>(lowering.extent(lowering.n));
  double const k = static_cast<double>(lowering.extent(lowering.k));
  bool const contiguous = lowering.stride(lowering.k, operand_a) == 1 && lowering.stride(lowering.k, operand_b) == 1;
  return matrix_product_cost(static_cast<double>(iterations(lowering.units)) / (m * n * k), m, n, k, contiguous);
}

/// Appends the units of one kind, by descending stride in tensor `order`.
constexpr void append_sorted(StaticVector<int, max_units>& list, Units const& units, UnitKind kind, int order) {
  int const begin = list.size();
  for (int i = 0; i < units.size(); ++i) {
    if (units[i].kind() != kind) continue;
    list.push_back(i);
    for (int j = list.size() - 1; j > begin && units[list[j - 1]].strides[order] < units[list[j]].strides[order]; --j) {
      int const swapped = list[j];
      list[j] = list[j - 1];
      list[j - 1] = swapped;
    }
  }
}

/// Returns the units with a packed layout for every permuted tensor: batch outermost, then the two matrix dimensions.
/// Within each kind, units are ordered as in a tensor that is not permuted, if there is one, so that they fuse.
constexpr Units repack(Units units, bool const (&permuted)[3]) {
  Units const given = units;
  int const row_order = !permuted[operand_c] ? operand_c : operand_a;
  int const column_order = !permuted[operand_c] ? operand_c : operand_b;
  int const contracted_order = !permuted[operand_b] ? operand_b : operand_a;
  int const batch_order = !permuted[operand_c] ? operand_c : !permuted[operand_a] ? operand_a : operand_b;
  UnitKind const inner[3][2] = {{UnitKind::row, UnitKind::contracted},
                                {UnitKind::contracted, UnitKind::column},
                                {UnitKind::row, UnitKind::column}};
  for (int t = 0; t < 3; ++t) {
    if (!permuted[t]) continue;
    StaticVector<int, max_units> order;
    append_sorted(order, given, UnitKind::batch, batch_order);
    for (UnitKind kind : inner[t])
      append_sorted(order, given, kind,
                    kind == UnitKind::row      ? row_order
                    : kind == UnitKind::column ? column_order
                                               : contracted_order);
    std::int64_t stride = 1;
    for (Unit& unit : units) unit.strides[t] = 0;
    for (int i = order.size() - 1; i >= 0; --i) {
      Unit const& unit = given[order[i]];
      // A letter that only c has repeats the result: the temporary holds it once.
      if (!unit.in(t) || (!unit.in(operand_a) && !unit.in(operand_b))) continue;
      units[order[i]].strides[t] = stride;
      stride *= unit.extent;
    }
  }
  return units;
}

/// Returns the number of elements of a tensor: what a permute of it moves.
constexpr double moved_elements(Units const& given, int operand) {
  double result = 1;
  for (Unit const& unit : given)
    if (unit.in(operand)) result *= static_cast<double>(unit.extent);
  return result;
}

/// Sets rows, columns and sum of `trial` to its cheapest choice of units, and its cost. Single elements (all -1) are
/// always a valid choice.
constexpr void choose_units(Lowering& trial) {
  Units const& units = trial.units;
  int best[3] = {-1, -1, -1};
  trial.m = trial.n = trial.k = -1;
  double cost = matrix_product_cost(trial);
  for (trial.m = -1; trial.m < units.size(); ++trial.m) {
    if (trial.m >= 0 && units[trial.m].kind() != UnitKind::row) continue;
    for (trial.n = -1; trial.n < units.size(); ++trial.n) {
      if (trial.n >= 0 && units[trial.n].kind() != UnitKind::column) continue;
      if (!is_matrix(trial, trial.m, trial.n, operand_c)) continue;
      for (trial.k = -1; trial.k < units.size(); ++trial.k) {
        if (trial.k >= 0 && units[trial.k].kind() != UnitKind::contracted) continue;
        if (!is_matrix_product(trial)) continue;
        double const trial_cost = matrix_product_cost(trial);
        if (trial_cost >= cost) continue;
        cost = trial_cost;
        best[0] = trial.m;
        best[1] = trial.n;
        best[2] = trial.k;
      }
    }
  }
  trial.m = best[0];
  trial.n = best[1];
  trial.k = best[2];
  trial.cost = cost;
}

/// Returns the cheapest way to carry out a contraction by matrix products: tries every set of permuted tensors, and
/// every unit of the right kind as rows, columns and sum. With `allow_direct`, also weighs the direct kernels.
/// Preconditions: no extent is 0; every letter of one operand alone is in c.
constexpr Lowering lower(Units const& unfused, bool allow_direct) {
  Lowering best;
  best.given = best.packed = best.units = fuse(unfused);
  Units const& given = best.given;
  double const least = Cost::call + static_cast<double>(iterations(given));
  double const direct = direct_cost(given);
  if (allow_direct && direct <= least) {
    best.direct = true;
    best.cost = direct;
    return best;
  }
  choose_units(best);
  double moved[3]{};
  for (int t = 0; t < 3; ++t) moved[t] = Cost::permute * moved_elements(given, t);
  for (int set = 1; set < 8; ++set) {
    double copy_cost = 0;
    for (int t = 0; t < 3; ++t)
      if ((set >> t & 1) != 0) copy_cost += moved[t];
    if (copy_cost + least >= best.cost) continue;
    Lowering candidate;
    for (int t = 0; t < 3; ++t) candidate.permuted[t] = (set >> t & 1) != 0;
    candidate.given = given;
    candidate.packed = repack(given, candidate.permuted);
    candidate.units = fuse(candidate.packed);
    choose_units(candidate);
    candidate.cost += copy_cost;
    if (candidate.cost < best.cost) best = candidate;
  }
  if (allow_direct && direct < best.cost) {
    Lowering plain;
    plain.given = plain.packed = plain.units = given;
    plain.direct = true;
    plain.cost = direct;
    return plain;
  }
  return best;
}

/// Returns whether a contraction is a (batched) matrix product of the tensors as they lie in memory. Rows, columns and
/// sum each have to be a unit if any unit is of that kind.
constexpr bool needs_no_copy(Units const& unfused) {
  Lowering trial;
  trial.units = fuse(unfused);
  bool has[3]{};
  for (Unit const& unit : trial.units) {
    has[0] = has[0] || unit.kind() == UnitKind::row;
    has[1] = has[1] || unit.kind() == UnitKind::column;
    has[2] = has[2] || unit.kind() == UnitKind::contracted;
  }
  for (trial.m = -1; trial.m < trial.units.size(); ++trial.m) {
    if (trial.m < 0 ? has[0] : trial.units[trial.m].kind() != UnitKind::row) continue;
    for (trial.n = -1; trial.n < trial.units.size(); ++trial.n) {
      if (trial.n < 0 ? has[1] : trial.units[trial.n].kind() != UnitKind::column) continue;
      for (trial.k = -1; trial.k < trial.units.size(); ++trial.k) {
        if (trial.k < 0 ? has[2] : trial.units[trial.k].kind() != UnitKind::contracted) continue;
        if (is_matrix_product(trial)) return true;
      }
    }
  }
  return false;
}

/// Returns the units of an einsum whose extents are unknown. A different prime stands for each extent, so that only
/// letters fuse that fuse for all extents.
constexpr Units symbolic_units(Labels const& a, Labels const& b, Labels const& c) {
  constexpr std::int64_t primes[3 * max_rank] = {101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157,
                                                 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223, 227};
  StaticVector<char, 3 * max_rank> letters;
  Labels const* const tensors[3] = {&a, &b, &c};
  LabelledStrides layouts[3];
  for (int t = 0; t < 3; ++t) {
    Extents extents;
    for (char letter : *tensors[t]) {
      if (!letters.contains(letter)) letters.push_back(letter);
      extents.push_back(primes[letters.find(letter)]);
    }
    layouts[t] = labelled_strides(*tensors[t], extents);
  }
  return units_of(layouts[0], layouts[1], layouts[2]);
}

/// Returns whether packed tensors with these labels are contracted without a copy, whatever the extents. Letters of one
/// operand alone that c lacks are summed beforehand and do not count.
constexpr bool needs_no_copy(Labels const& a, Labels const& b, Labels const& c) {
  Labels kept[2];
  for (char letter : a)
    if (b.contains(letter) || c.contains(letter)) kept[0].push_back(letter);
  for (char letter : b)
    if (a.contains(letter) || c.contains(letter)) kept[1].push_back(letter);
  return needs_no_copy(symbolic_units(kept[0], kept[1], c));
}

}  // namespace gshard::detail
