// SPDX-License-Identifier: Apache-2.0
// Block boundaries: paper facts T34-T36 and the bug reports A4-A6, C4.
#include <array>
#include <cstdint>
#include <limits>

#include <gshard/tensor/shard_range.hpp>

namespace {

using namespace gshard;

/// The parts of `extent` over `Parts` are these ranges, and cover it without gap or overlap.
template <int Parts>
consteval bool cuts(std::int64_t extent, std::array<Range, Parts> const& expected) {
  std::int64_t end = 0;
  for (int i = 0; i < Parts; ++i) {
    Range const part = shard_range(extent, Parts, i);
    if (part.begin != end || !(part == expected[static_cast<std::size_t>(i)])) return false;
    end = part.end;
  }
  return end == extent;
}

// ---- T35: (extent, parts)
static_assert(cuts<2>(15, {{{0, 8}, {8, 15}}}));
static_assert(cuts<4>(5, {{{0, 2}, {2, 4}, {4, 5}, {5, 5}}}));
static_assert(cuts<3>(4, {{{0, 2}, {2, 4}, {4, 4}}}));
static_assert(cuts<3>(7, {{{0, 3}, {3, 6}, {6, 7}}}));
static_assert(cuts<4>(9, {{{0, 3}, {3, 6}, {6, 9}, {9, 9}}}));
static_assert(cuts<2>(1, {{{0, 1}, {1, 1}}}));
static_assert(cuts<8>(3, {{{0, 1}, {1, 2}, {2, 3}, {3, 3}, {3, 3}, {3, 3}, {3, 3}, {3, 3}}}));
static_assert(cuts<4>(16, {{{0, 4}, {4, 8}, {8, 12}, {12, 16}}}));

// ---- A4-A6: fewer indices than parts, and a last block that is not the only short one
static_assert(cuts<4>(2, {{{0, 1}, {1, 2}, {2, 2}, {2, 2}}}));
static_assert(cuts<8>(17, {{{0, 3}, {3, 6}, {6, 9}, {9, 12}, {12, 15}, {15, 17}, {17, 17}, {17, 17}}}));
static_assert(cuts<8>(7, {{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 7}}}));

// ---- Nothing, everything, and more than 2^31
static_assert(cuts<3>(0, {{{0, 0}, {0, 0}, {0, 0}}}));
static_assert(cuts<1>(5, {{{0, 5}}}));
static_assert(shard_range(std::int64_t{1} << 40, 3, 2) ==
              Range{2 * ((std::int64_t{1} << 40) / 3 + 1), std::int64_t{1} << 40});

/// Every extent up to 40 over up to 9 parts: parts follow one another, none is longer than the ceiling, and none is
/// short before the last that is not empty.
consteval bool holds_everywhere() {
  for (std::int64_t extent = 0; extent <= 40; ++extent)
    for (std::int64_t parts = 1; parts <= 9; ++parts) {
      std::int64_t const block = (extent + parts - 1) / parts;
      std::int64_t end = 0;
      for (std::int64_t index = 0; index < parts; ++index) {
        Range const part = shard_range(extent, parts, index);
        bool const is_full = part.size() == block;
        bool const is_last = part.end == extent;
        if (part.begin != end || part.size() < 0 || !(is_full || is_last)) return false;
        end = part.end;
      }
      if (end != extent) return false;
    }
  return true;
}
static_assert(holds_everywhere());

// ---- The largest extents and numbers of parts
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
static_assert(shard_range(largest, 2, 1) == Range{(std::int64_t{1} << 62), largest});
static_assert(shard_range(largest, largest, largest - 1) == Range{largest - 1, largest});
static_assert(shard_range(3, largest, largest - 1) == Range{3, 3});
static_assert(shard_range(largest, largest - 1, largest - 2) == Range{largest, largest}, "blocks of two");
static_assert(shard_range(largest, 3, 2) == Range{2 * (largest / 3 + 1), largest} || largest % 3 == 0);

// ---- Several axes on one dimension nest: each cuts what the one before it left
consteval Range nested(std::int64_t extent, int outer_parts, int outer, int inner_parts, int inner) {
  Range const first = shard_range(extent, outer_parts, outer);
  Range const second = shard_range(first.size(), inner_parts, inner);
  return {first.begin + second.begin, first.begin + second.end};
}
static_assert(nested(4, 2, 0, 2, 1) == Range{1, 2});
static_assert(nested(5, 2, 1, 2, 0) == Range{3, 4}, "5 over 2 is 3 + 2, and the 2 over 2 is 1 + 1");
static_assert(nested(5, 2, 0, 2, 0) == Range{0, 2} && nested(5, 2, 0, 2, 1) == Range{2, 3});
static_assert(nested(7, 3, 2, 2, 1) == Range{7, 7}, "7 over 3 is 3 + 3 + 1; the 1 over 2 is 1 + 0");

// ---- Intersections
static_assert(intersection(Range{0, 4}, Range{2, 7}) == Range{2, 4});
static_assert(intersection(Range{0, 2}, Range{4, 7}).size() == 0);
static_assert(intersection(Range{3, 3}, Range{0, 9}).size() == 0);
static_assert(intersection(Range{2, 3}, Range{0, 9}) == Range{2, 3});

}  // namespace
