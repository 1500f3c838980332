// SPDX-License-Identifier: Apache-2.0
// The arithmetic of windows over split space: the values that the paper's formulas give (section 3.3.3, fig. 11 to 13,
// A.4), from the blocks themselves.
#include <gshard/spatial/kernels/window.hpp>

#include <array>

namespace {

using namespace gshard;

template <std::size_t Shards>
using Halos = std::array<HaloWidths, Shards>;

/// The halos of all shards, each with ceil(extent / shards) elements and ceil(outputs / shards) outputs, those beyond
/// the last output included, as the paper counts.
template <std::size_t Shards>
constexpr Halos<Shards> halos(Window const& window, std::int64_t extent) {
  Halos<Shards> result;
  std::int64_t const shards = Shards;
  std::int64_t const block = (extent + shards - 1) / shards;
  std::int64_t const each = (window.outputs(extent) + shards - 1) / shards;
  for (std::int64_t i = 0; i < shards; ++i)
    result[static_cast<std::size_t>(i)] = halo_widths(window, {block * i, block * (i + 1)}, {each * i, each * (i + 1)});
  return result;
}

// Fig. 11, non-constant halos: the left one shrinks, the right one grows; the third shard drops an element of its own.
constexpr Window strided{.size = 3, .stride = 2, .low = 1, .high = 1};
static_assert(strided.outputs(12) == 6);
static_assert(halos<4>(strided, 12) == Halos<4>{{{1, 1}, {0, 2}, {-1, 3}, {-2, 4}}});
static_assert(shard_range(6, 4, 2).size() == 2 && shard_range(6, 4, 3).size() == 0);  // the last shard has no output

// Constant halos.
static_assert(halos<4>({.size = 3, .low = 1, .high = 1}, 16) == Halos<4>{{{1, 1}, {1, 1}, {1, 1}, {1, 1}}});
// Without padding there are fewer outputs than elements, and halos differ from shard to shard.
constexpr Window valid{.size = 5};
static_assert(valid.outputs(20) == 16);
static_assert(halos<4>(valid, 20) == Halos<4>{{{0, 3}, {1, 2}, {2, 1}, {3, 0}}});
// Windows side by side need nothing of others.
static_assert(halos<3>({.size = 3, .stride = 3}, 18) == Halos<3>{{{0, 0}, {0, 0}, {0, 0}}});
// Window dilation makes the window wider.
static_assert(halos<4>({.size = 3, .low = 2, .high = 2, .dilation = 2}, 16) ==
              Halos<4>{{{2, 2}, {2, 2}, {2, 2}, {2, 2}}});

// Base dilation, case 1 (stride times outputs is a multiple of it): starts at 2 i and ends at 2 i + 3. The limit as
// printed in the paper would be 2 i + 2.
constexpr Window first_case{.size = 5, .stride = 3, .low = 1, .base_dilation = 3};
static_assert(first_case.outputs(8) == 7);
static_assert(halos<4>(first_case, 8) == Halos<4>{{{0, 1}, {0, 1}, {0, 1}, {0, 1}}});
static_assert(needed_range(first_case, {2, 4}) == Range{2, 5});

// Case 2 (stride 1, not a multiple): starts 0, 2, 4, 5 and limits 3, 4, 6, 8.
constexpr Window second_case{.size = 3, .base_dilation = 3};
static_assert(second_case.outputs(8) == 20);
static_assert(needed_range(second_case, {0, 5}) == Range{0, 3} && needed_range(second_case, {5, 10}) == Range{2, 4});
static_assert(needed_range(second_case, {10, 15}) == Range{4, 6} && needed_range(second_case, {15, 20}) == Range{5, 8});
static_assert(halos<4>(second_case, 8) == Halos<4>{{{0, 1}, {0, 0}, {0, 0}, {1, 0}}});

// Case 3 (another stride, not a multiple): outputs 3 and 4 look at places 6 - 1 to 8 - 1 + 4 of the dilated base, which
// has elements at 6 and 9.
constexpr Window third_case{.size = 5, .stride = 2, .low = 1, .base_dilation = 3};
static_assert(third_case.outputs(8) == 10);
static_assert(needed_range(third_case, {3, 5}) == Range{2, 4});

// A slice [2, 9) of 12 is a window of one element: left -2, -1, 0, 1 and right 1, 0, -1, -2.
static_assert(halos<4>({.size = 1, .low = -2, .high = -3}, 12) == Halos<4>{{{-2, 1}, {-1, 0}, {0, -1}, {1, -2}}});

// Nothing in, nothing needed; padding alone can still give outputs.
static_assert(Window{.size = 3}.outputs(2) == 0 && Window{.size = 3}.outputs(0) == 0 &&
              (Window{.size = 3, .low = 2, .high = 1}.outputs(0)) == 1);
static_assert(needed_range(strided, {4, 4}) == Range{});

// Under window position 1, output 2 of 1 ... sees element 1 of a base dilated by 3: every third output does, one
// element on.
constexpr detail::Taps taps = detail::taps_of(second_case, {0, 20}, 1);
static_assert(taps.output == 2 && taps.output_step == 3 && taps.element == 1 && taps.element_step == 1 &&
              taps.count == 6);

}  // namespace
