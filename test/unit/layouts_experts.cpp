// SPDX-License-Identifier: Apache-2.0
// Training by data, by experts, and by both: the same as on one rank.
#include "layouts.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct ByData : nn::Parallelism {
  static constexpr AxisNames tokens = "data";
};
struct ByExpert : nn::Parallelism {  // devices = experts, as in the paper
  static constexpr AxisNames tokens = "expert", experts = "expert";
};
struct ByDataAndExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};

}  // namespace

TEST_CASE("one rank alone learns") {
  auto const& figures = figures_alone();
  CHECK(figures[27] < figures[0] - .2);
}

TEST_CASE("data") { check_layout<ByData>("data", meshes_over(true, false, false)); }
TEST_CASE("expert") { check_layout<ByExpert>("expert", meshes_over(false, true, false)); }
TEST_CASE("data x expert") { check_layout<ByDataAndExpert>("data x expert", meshes_over(true, true, false)); }
