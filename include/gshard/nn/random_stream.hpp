// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace gshard::nn {

/// The random numbers of one use in training: a seed, and a stream of its own for each layer and step. A value: whoever
/// uses it again draws the same numbers.
struct RandomStream {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

}  // namespace gshard::nn
