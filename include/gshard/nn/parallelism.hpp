// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/tensor/spec.hpp>

namespace gshard::nn {

/// Which mesh axes split what in a model: derive from it and name those that do.
struct Parallelism {
  static constexpr AxisNames none{""};
  static constexpr AxisNames tokens = none;   ///< groups of sentences
  static constexpr AxisNames experts = none;  ///< experts of a mixture
  static constexpr AxisNames model = none;    ///< heads, hidden units, vocabulary (tensor parallelism)
  /// pieces in which weights are kept: gathered for use, gradients reduce-scattered
  static constexpr AxisNames parameters = none;
};

}  // namespace gshard::nn
