// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dense.hpp"

/// A mixture of experts as loops over whole tensors.
namespace gshard::test {

/// Algorithm 1 with second choices that always go: weights (G, S, E) and E^2 times the mean of l_aux over groups with
/// tokens.
struct Gating {
  Values weights;
  double balance = 0;

  Gating(Dense const& gates, std::vector<int> const& real, std::int64_t capacity);
};

/// The layer: in[0] is x (G, S, M), then gate (M, E), wi (E, M, H), wo (E, H, M). Gives all outputs, and the balance
/// loss as one more.
Values mixture_of(std::vector<Dense> const& in, std::vector<int> const& real, std::int64_t capacity);

}  // namespace gshard::test
