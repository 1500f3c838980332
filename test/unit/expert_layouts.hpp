// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/nn/parallelism.hpp>

/// Layouts of a mixture on a mesh of "data" and "expert"; where experts are not split over the second axis, it stands
/// for one of the model.
namespace gshard::test {

struct ByHiddenUnit : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "expert";
};
struct ByExpertAndHiddenUnit : nn::Parallelism {
  static constexpr AxisNames tokens = "data", experts = "data", model = "expert";
};
struct InPieces : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", parameters = "data,expert";
};
struct ByExpertInPieces : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert", parameters = "data";
};

}  // namespace gshard::test
