// SPDX-License-Identifier: Apache-2.0
// Training with weights that are kept in pieces: the same as on one rank.
#include "layouts.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct FullySharded : nn::Parallelism {
  static constexpr AxisNames tokens = "data", parameters = "data";
};
struct ShardedByExpertAndModel : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert", model = "model", parameters = "data,expert";
};

}  // namespace

TEST_CASE("fully sharded") { check_layout<FullySharded>("fully sharded", meshes_over(true, false, false)); }
TEST_CASE("fully sharded x expert x model") {
  std::vector<std::array<int, 3>> meshes;
  for (auto const& sizes : meshes_over(true, true, true))
    if (ranks() < 8 || sizes == std::array<int, 3>{2, 2, 2}) meshes.push_back(sizes);
  check_layout<ShardedByExpertAndModel>("fully sharded x expert x model", meshes);
}
