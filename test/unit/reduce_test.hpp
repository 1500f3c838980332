// SPDX-License-Identifier: Apache-2.0
#pragma once

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

}  // namespace gshard::test
