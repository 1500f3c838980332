// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <bit>
#include <cstdint>

#include <gshard/core/random.hpp>

#include "kernel_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

struct Fill {
  Vector<double> uniform;
  Vector<double> normal;

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    uniform(i) = random_uniform<double>(7, 1, static_cast<std::uint64_t>(i));
    normal(i) = random_normal<double>(7, 1, static_cast<std::uint64_t>(i));
  }
};

}  // namespace

TEST_CASE("the bits are Philox4x32-10: the known answers of Random123's kat_vectors") {
  struct Case {
    std::uint64_t seed, stream, index;
    std::array<std::uint32_t, 4> right;
  };
  Case const cases[] = {
      {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x299f31d0'a4093822ull,
       0x03707344'13198a2eull,
       0x85a308d3'243f6a88ull,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (Case const& c : cases) {
    auto const bits = detail::random_bits(c.seed, c.stream, c.index);
    for (int i = 0; i < 4; ++i) CHECK(bits[static_cast<std::size_t>(i)] == c.right[static_cast<std::size_t>(i)]);
  }
}

TEST_CASE("a uniform number is the leading bits over 2^53, or over 2^24") {
  // 0x6627e8d5'e169c58d of the first known answer.
  CHECK(random_uniform<double>(0, 0, 0) == static_cast<double>(0x6627e8d5e169c58dull >> 11) / 0x1p53);
  CHECK(random_uniform<float>(0, 0, 0) == static_cast<float>(0x6627e8) / 0x1p24f);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    double const exact = random_uniform<double>(3, 5, i);
    float const rounded = random_uniform<float>(3, 5, i);
    CHECK((rounded <= exact && exact - rounded < 0x1p-24));
    CHECK(random_normal<float>(3, 5, i) == static_cast<float>(random_normal<double>(3, 5, i)));
  }
}

TEST_CASE("K1, K2: the same bits from a parallel kernel, from one thread, and from any part of the range") {
  constexpr std::int64_t count = 10007;
  Vector<double> uniform("uniform", count), normal("normal", count);
  Kokkos::parallel_for(Kokkos::RangePolicy<Host::execution_space, Kokkos::IndexType<std::int64_t>>(0, count),
                       Fill{uniform, normal});
  Kokkos::fence();
  std::int64_t differing = 0;
  for (std::int64_t i = count - 1; i >= 0; --i) {
    auto const index = static_cast<std::uint64_t>(i);
    differing +=
        std::bit_cast<std::uint64_t>(uniform(i)) != std::bit_cast<std::uint64_t>(random_uniform<double>(7, 1, index));
    differing +=
        std::bit_cast<std::uint64_t>(normal(i)) != std::bit_cast<std::uint64_t>(random_normal<double>(7, 1, index));
  }
  CHECK(differing == 0);
}

TEST_CASE("uniform numbers fill [0, 1) evenly: moments, and chi-squared over 64 bins") {
  constexpr int count = 1 << 16;
  std::array<int, 64> bins{};
  double sum = 0, squares = 0, product = 0, lag = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    double const u = random_uniform<double>(1, 2, i);
    REQUIRE((u >= 0 && u < 1));
    ++bins[static_cast<std::size_t>(u * 64)];
    sum += u;
    squares += u * u;
    product += (u - .5) * (random_uniform<double>(1, 3, i) - .5);
    lag += (u - .5) * (random_uniform<double>(1, 2, i + 1) - .5);
  }
  double chi_squared = 0;
  for (int bin : bins) chi_squared += (bin - count / 64.0) * (bin - count / 64.0) / (count / 64.0);
  // 63 degrees of freedom: mean 63, standard deviation 11.2. The others are within four standard deviations.
  CHECK(chi_squared < 63 + 4 * 11.2);
  CHECK(std::abs(sum / count - .5) < 4 * std::sqrt(1 / 12.0 / count));
  CHECK(std::abs(squares / count - 1 / 3.0) < 4 * std::sqrt(4 / 45.0 / count));
  CHECK(std::abs(product / count) < 4 / 12.0 / std::sqrt(count));
  CHECK(std::abs(lag / count) < 4 / 12.0 / std::sqrt(count));
}

TEST_CASE("normal numbers have the moments and the tails of the normal distribution") {
  constexpr int count = 1 << 16;
  double sum = 0, squares = 0, cubes = 0, fourths = 0;
  int beyond_two = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    double const z = random_normal<double>(9, 0, i);
    sum += z;
    squares += z * z;
    cubes += z * z * z;
    fourths += z * z * z * z;
    beyond_two += std::abs(z) > 2;
  }
  double const deviation = 4 / std::sqrt(count);
  CHECK(std::abs(sum / count) < deviation);
  CHECK(std::abs(squares / count - 1) < deviation * std::sqrt(2));
  CHECK(std::abs(cubes / count) < deviation * std::sqrt(15));
  CHECK(std::abs(fourths / count - 3) < deviation * std::sqrt(96));
  CHECK(std::abs(beyond_two / double(count) - 0.0455) < deviation * std::sqrt(0.0455));
}

TEST_CASE("seed, stream and index each change the number, in their upper halves too") {
  double const base = random_uniform<double>(1, 1, 1);
  for (std::uint64_t other : {2ull, 1ull | 1ull << 32, 1ull | 1ull << 63}) {
    CHECK(random_uniform<double>(other, 1, 1) != base);
    CHECK(random_uniform<double>(1, other, 1) != base);
    CHECK(random_uniform<double>(1, 1, other) != base);
  }
}
