// SPDX-License-Identifier: Apache-2.0
// How many slots an expert has for a group, and how many groups there are.
#include <cstdint>

#include <doctest/doctest.h>

#include <gshard/core/error.hpp>
#include <gshard/nn/kernels/capacity.hpp>
#include <gshard/nn/moe/gates.hpp>
#include <gshard/nn/moe/token_groups.hpp>

using namespace gshard;
using namespace gshard::nn;

namespace {

struct RoundedDown : Top2Gate {
  static constexpr auto rounding = CapacityRounding::down;
};

}  // namespace

TEST_CASE(
    "T01: the paper's 2S/E rounded up, and what six public implementations make of it, by rounding, minimum and multiple") {
  struct Case {
    std::int64_t tokens, experts;
    double factor;
    std::int64_t paper, lingvo, mesh_tensorflow, flaxformer, deepspeed, maxtext;
  };
  Case const cases[] = {
      {1024, 512, 2, 4, 4, 4, 4, 4, 4},    {1024, 2048, 2, 1, 4, 4, 4, 4, 1},
      {2048, 2048, 2, 2, 4, 4, 4, 4, 2},   {1024, 128, 2, 16, 16, 16, 16, 16, 16},
      {100, 8, 2, 25, 28, 25, 25, 25, 25}, {100, 16, 1.25, 13, 8, 7, 8, 8, 7},
      {10, 4, 2, 5, 8, 5, 5, 5, 5},        {7, 3, 2, 5, 4, 4, 5, 5, 4},
      {6, 4, 1.25, 3, 4, 4, 4, 4, 1},      {1000, 16, 1.25, 125, 80, 78, 78, 79, 78},
  };
  for (Case const& c : cases) {
    CAPTURE(c.tokens);
    CAPTURE(c.experts);
    CHECK(expert_capacity(c.tokens, c.experts) == c.paper);
    CHECK(expert_capacity(c.tokens, c.experts, c.factor, 1, CapacityRounding::down, 4) == c.lingvo);
    CHECK(expert_capacity(c.tokens, c.experts, c.factor, 4, CapacityRounding::down) == c.mesh_tensorflow);
    CHECK(expert_capacity(c.tokens, c.experts, c.factor, 4, CapacityRounding::to_nearest_even) == c.flaxformer);
    CHECK(expert_capacity(c.tokens, c.experts, c.factor, 4, CapacityRounding::up) == c.deepspeed);
    CHECK(expert_capacity(c.tokens, c.experts, c.factor, 0, CapacityRounding::down) == c.maxtext);
  }
}

TEST_CASE("T02: halves go to the even number") {
  auto const rounded = [](std::int64_t tokens, std::int64_t experts) {
    return expert_capacity(tokens, experts, 1, 0, CapacityRounding::to_nearest_even);
  };
  CHECK(rounded(10, 4) == 2);
  CHECK(rounded(14, 4) == 4);
  CHECK(rounded(50, 4) == 12);
  CHECK(rounded(11, 4) == 3);
  CHECK(rounded(9, 4) == 2);
}

TEST_CASE("E1, E17: the number of experts counts; 7 tokens, E = 4, k = 2, factor 1.25 of each choice: up 5, down 4") {
  CHECK(expert_capacity(5, 4, 1.0) == 2);
  CHECK(expert_capacity(128, 5, 1.2) == 31);
  CHECK(expert_capacity(7, 4, 2.5) == 5);
  CHECK(expert_capacity(7, 4, 2.5, 1, CapacityRounding::down) == 4);
}

TEST_CASE("a minimum, factors that are no binary fractions, no tokens") {
  CHECK(expert_capacity(1024, 2048, 2.0, 4) == 4);
  CHECK(expert_capacity(10, 1, 1.1) == 11);
  CHECK(expert_capacity(10, 1, 1.1, 1, CapacityRounding::down) == 11);
  CHECK(expert_capacity(100, 1, .29, 1, CapacityRounding::down) == 29);
  CHECK(expert_capacity(0, 8) == 1);
  CHECK(expert_capacity(0, 8, 2.0, 0) == 0);
}

TEST_CASE("a gate has its own factor and rounding; options may say another factor; inference has twice the room") {
  GateOptions options;
  CHECK(options.capacity<Top2Gate>(1024, 512, true) == 4);
  CHECK(options.capacity<SwitchGate>(1024, 512, true) == 2);
  CHECK(options.capacity<TopKGate<6>>(1024, 64, true) == 96);
  CHECK(options.capacity<Top2Gate>(1024, 512, false) == 8);
  CHECK(options.capacity<Dropless<>>(1024, 512, true) == 0);
  options.capacity_factor = 1.25;
  CHECK(options.capacity<Top2Gate>(100, 16, true) == 8);
  CHECK(options.capacity<Top2Gate>(100, 16, false) == 25);
  options.inference_capacity_factor = 1;
  CHECK(options.capacity<Top2Gate>(100, 16, false) == 7);
  options.capacity_multiple = 4;
  options.minimum_capacity = 9;
  CHECK(options.capacity<Top2Gate>(100, 16, true) == 12);
  CHECK(GateOptions{}.capacity<RoundedDown>(7, 3, true) == 4);
}

TEST_CASE("T03: groups of tokens that ranks share evenly") {
  struct Case {
    std::int64_t tokens, largest, parts, groups, size;
  };
  Case const cases[] = {{1048576, 1024, 512, 1024, 1024},
                        {6144, 1024, 4, 8, 768},
                        {1000, 300, 8, 8, 125},
                        {96, 1024, 8, 8, 12},
                        {8, 1, 8, 8, 1}};
  for (Case const& c : cases) {
    TokenGroups const groups = token_groups(c.tokens, c.largest, c.parts);
    CHECK(groups.groups == c.groups);
    CHECK(groups.size == c.size);
  }
  CHECK_THROWS_AS(token_groups(100, 1024, 8), Error);
}
