// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>

#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "reductions.hpp"

/// What the tests of reductions share.
namespace gshard::test {

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

/// Even, uneven, tiny, and empty ones.
inline std::vector<Extents> const shapes = {{4, 6, 8}, {3, 5, 7}, {1, 2, 1}, {2, 0, 3}, {0, 2, 2}};

/// Says how this rank's block differs from these elements of the whole, but for rounding, or "".
template <class Tensor>
std::string exact_difference(Tensor const& tensor, Values const& expected) {
  return difference(local_values(tensor), elements_at(expected, global_positions(tensor)), 1e-14);
}

/// A matrix whose rows lie split over all ranks.
template <class T>
using SplitRows = ShardedTensor<TwoAxes, Spec<_, "x,y">, T>;

template <class T>
SplitRows<T> rows(TwoAxes const& mesh, std::vector<Values> const& rows) {
  std::vector<T> elements;
  for (Values const& row : rows)
    for (double value : row) elements.push_back(static_cast<T>(value));
  return from_vector<SplitRows<T>>(
      mesh, {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows[0].size())}, elements);
}

}  // namespace gshard::test
