// SPDX-License-Identifier: Apache-2.0
// Training with heads, hidden units and vocabulary split: the same as on one rank.
#include "layouts.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByDataAndModel : nn::Parallelism {
  static constexpr AxisNames tokens = "data", model = "model";
};
struct ByAll : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert", model = "model";
};

}  // namespace

TEST_CASE("data x model") { check_layout<ByDataAndModel>("data x model", meshes_over(true, false, true)); }
TEST_CASE("data x expert x model") {
  std::vector<std::array<int, 3>> meshes;
  for (auto const& sizes : meshes_over(true, true, true))
    if (ranks() < 8 || sizes == std::array<int, 3>{2, 2, 2}) meshes.push_back(sizes);
  check_layout<ByAll>("data x expert x model", meshes);
}
