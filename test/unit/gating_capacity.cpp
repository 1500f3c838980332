// SPDX-License-Identifier: Apache-2.0
// How many slots an expert has for a group, and how many groups there are.
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include <gshard/core/error.hpp>
#include <gshard/nn/gating/capacity.hpp>
#include <gshard/nn/gating/gates.hpp>
#include <gshard/nn/moe/options.hpp>
#include <gshard/nn/moe/token_groups.hpp>

using namespace gshard;
using namespace gshard::nn;

namespace {

struct RoundedDown : Top2Gate {
  static constexpr auto rounding = CapacityRounding::down;
};

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

/// The call is refused, and the message begins with the option and its value.
void check_option(std::string const& option, std::function<void()> const& call) {
  INFO(option);
  CHECK_THROWS_WITH_AS(call(), doctest::Contains(("option " + option + ": give ").c_str()), OptionError);
}

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
  CHECK_THROWS_WITH_AS(token_groups(100, 1024, 8),
                       "token_groups: 100 tokens cannot be shared evenly by 8 ranks; pad them to a multiple",
                       ExtentError);
  // No tokens: an empty group for each. 2^61 - 1 is prime: no group size between, and no search of hours.
  CHECK(token_groups(0, 4, 2).groups == 2);
  CHECK(token_groups(0, 4, 2).size == 0);
  CHECK(token_groups((std::int64_t{1} << 31) - 1, 1024, 1).size == 1);
  CHECK(token_groups(largest, largest, largest).size == 1);
}

// ---- Options that are not allowed ----

TEST_CASE("an infinite capacity factor gives as many slots as tokens: nothing is dropped") {
  GateOptions options;
  options.capacity_factor = options.inference_capacity_factor = inf;
  CHECK(expert_capacity(8, 4, inf) == 8);
  CHECK(expert_capacity(0, 4, inf, 0) == 0);
  CHECK(expert_capacity(8, 4, inf, 1, CapacityRounding::up, 6) == 12);
  CHECK(options.capacity<Top2Gate>(8, 4, true) == 8);
  CHECK(options.capacity<Top2Gate>(8, 4, false) == 8);
}

TEST_CASE("expert_capacity refuses what is no capacity, by the name of the option") {
  struct Case {
    char const* option;
    std::int64_t tokens, experts;
    double factor;
    std::int64_t minimum, multiple;
  };
  Case const cases[] = {{"capacity_factor = -1", 8, 4, -1, 1, 1},
                        {"capacity_factor = nan", 8, 4, not_a_number, 1, 1},
                        {"capacity_factor = -inf", 8, 4, -inf, 1, 1},
                        {"capacity_factor = 1e+30", 8, 4, 1e30, 1, 1},
                        {"capacity_factor = 2e+09", 8, 4, 2e9, 1, 1},
                        {"minimum_capacity = -3", 8, 4, 2, -3, 1},
                        {"minimum_capacity = 2147483648", 8, 4, 2, std::int64_t{1} << 31, 1},
                        {"capacity_multiple = 0", 8, 4, 2, 1, 0},
                        {"capacity_multiple = -4", 8, 4, 2, 1, -4},
                        {"capacity_multiple = 9223372036854775807", 8, 4, 2, 1, largest},
                        {"tokens_per_group = -8", -8, 4, 2, 1, 1},
                        {"experts = 0", 8, 0, 2, 1, 1},
                        {"experts = -4", 8, -4, 2, 1, 1}};
  for (Case const& c : cases)
    check_option(c.option,
                 [&] { expert_capacity(c.tokens, c.experts, c.factor, c.minimum, CapacityRounding::up, c.multiple); });
  CHECK(expert_capacity(8, 4, 1e9) == 2000000000);
  CHECK(expert_capacity(8, 4, 0, 3) == 3);
}

TEST_CASE("the options of a gate are checked in one place, whether the gate has a capacity or not") {
  struct Case {
    char const* option;
    GateOptions options;
  };
  Case const cases[] = {{"capacity_factor = -1", {.capacity_factor = -1}},
                        {"capacity_factor = nan", {.capacity_factor = not_a_number}},
                        {"minimum_capacity = -3", {.minimum_capacity = -3}},
                        {"capacity_multiple = 0", {.capacity_multiple = 0}},
                        {"capacity_multiple = -4", {.capacity_multiple = -4}},
                        {"inference_capacity_factor = -0.5", {.inference_capacity_factor = -.5}},
                        {"inference_capacity_factor = nan", {.inference_capacity_factor = not_a_number}},
                        {"z_loss_weight = -1", {.z_loss_weight = -1}},
                        {"z_loss_weight = nan", {.z_loss_weight = not_a_number}},
                        {"z_loss_weight = inf", {.z_loss_weight = inf}}};
  for (Case const& c : cases) {
    check_option(c.option, [&] { c.options.check(); });
    check_option(c.option, [&] { c.options.capacity<Top2Gate>(8, 4, true); });
    check_option(c.option, [&] { c.options.capacity<Dropless<>>(8, 4, false); });
    check_option(c.option, [&] { MixtureOptions{4, 8, 16, c.options}.check(); });
  }
  check_option("inference_capacity_factor = 1e+30",
               [] { GateOptions{.inference_capacity_factor = 1e30}.capacity<Top2Gate>(8, 4, false); });
}

TEST_CASE("the options of a mixture: one expert or more of at least one hidden unit, and products that 63 bits hold") {
  check_option("experts = 0", [] { MixtureOptions{0, 8, 16, {}}.check(); });
  check_option("model = 0", [] { MixtureOptions{4, 0, 16, {}}.check(); });
  check_option("hidden = -16", [] { MixtureOptions{4, 8, -16, {}}.check(); });
  check_option("shared_experts = -1", [] { MixtureOptions{4, 8, 16, {}, -1}.check(); });
  check_option("shared_experts = 4", [] { MixtureOptions{4, 8, largest / 2, {}, 4}.check(); });
  MixtureOptions{4, 8, 16, {}, 2}.check();
}

TEST_CASE("token_groups refuses numbers below its range") {
  check_option("largest = 0", [] { token_groups(8, 0, 2); });
  check_option("largest = -1", [] { token_groups(8, -1, 2); });
  check_option("parts = 0", [] { token_groups(8, 4, 0); });
  check_option("tokens = -8", [] { token_groups(-8, 4, 2); });
}
