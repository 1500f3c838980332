// SPDX-License-Identifier: Apache-2.0
// Products and sums of numbers that a user gives: what leaves 64 bits is refused, on meshes with ranks and without.
#include "dense_reference.hpp"
#include "mpi_test.hpp"
#include "wrong_inputs.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <gshard/core/abstract_runtime.hpp>
#include <gshard/index.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

constexpr std::int64_t two_to_32 = std::int64_t{1} << 32;
constexpr std::int64_t two_to_62 = std::int64_t{1} << 62;
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

template <class Space, class T, AxisNames... Entries>
using In = ShardedTensor<TwoAxes, Spec<Entries...>, T, Space>;

/// Calls `check(std::type_identity<MemorySpace>, mesh)` on this run's meshes, and on one without ranks.
template <class Check>
void with_ranks_and_without(Check const& check) {
  on_every_mesh([&](TwoAxes const& mesh) { check(std::type_identity<Kokkos::HostSpace>(), mesh); });
  AbstractRuntime machine;
  check(std::type_identity<AbstractSpace>(), TwoAxes(machine, {64, 32}));
}

}  // namespace

TEST_CASE("tensors of more than 2^62 bytes are refused with their names and bytes, whatever their products wrap to") {
  with_ranks_and_without([]<class Space>(std::type_identity<Space>, TwoAxes const& mesh) {
    struct Sizes {
      Extents extents;
      char const* bytes;  // 4 for each element
    };
    for (auto const& [extents, bytes] :
         {Sizes{{two_to_32, two_to_32}, "7.3787e+19 bytes"}, Sizes{{3, two_to_62}, "5.53402e+19 bytes"},
          Sizes{{two_to_62, 1}, "1.84467e+19 bytes"}, Sizes{{two_to_62 + 1, 4}, "7.3787e+19 bytes"},
          Sizes{{largest, largest}, "3.40282e+38 bytes"}, Sizes{{0, largest}, "3.68935e+19 bytes"}}) {
      expect_refusal<ExtentError>(
          "tensor: overflow", [&] { In<Space, float, "x", "y">(mesh, extents, "weights"); }, "tensor 'weights'", bytes);
      expect_refusal<ExtentError>(
          "from_vector: overflow", [&] { from_vector<In<Space, float, "x,y", _>>(mesh, extents, {}); }, bytes);
      expect_refusal<ExtentError>(
          "reshape: overflow", [&] { reshape<Spec<"x", _>>(In<Space, float, "x">(mesh, {0}, "none"), extents); },
          "tensor 'none'", bytes);
    }
    In<Space, std::int8_t, "x"> const empty(mesh, {0}, "empty");
    expect_refusal<ExtentError>("tensor: one line", [&] { In<Space, float, "x">(mesh, {two_to_62}); }, "1.84467e+19");
    expect_refusal<ExtentError>("pad: overflow", [&] { pad<0>(empty, largest, 1); }, "pad", "'empty' (0)");
    expect_refusal<ExtentError>("pad: 2^62 bytes", [&] { pad<0>(empty, two_to_62, 0); }, "'empty' (0)");
  });
}

TEST_CASE("the largest tensors of a mesh without ranks: concatenated, padded, rolled and reshaped, or refused") {
  AbstractRuntime machine;
  TwoAxes const mesh(machine, {64, 32});
  using Line = In<AbstractSpace, std::int8_t, "x,y">;
  Line const half(mesh, {two_to_62 / 2}, "half");
  CHECK(concatenate<0>(half, half).extent(0) == two_to_62);
  CHECK_THROWS_WITH_AS(concatenate<0>(half, half, half), doctest::Contains("2^62"), ExtentError);
  CHECK_THROWS_AS(pad<0>(half, two_to_62 / 4, two_to_62 / 4, std::int8_t{0}, 1), ExtentError);
  CHECK(pad<0>(half, two_to_62 / 4, 0).extent(0) == two_to_62 / 4 * 3);
  CHECK(pad<0>(slice<0>(half, 0, 2), 0, 0, std::int8_t{0}, two_to_62 / 4 - 1).extent(0) == two_to_62 / 4 + 1);
  CHECK(slice<0>(half, 1, two_to_62 / 2, two_to_62 / 4).extent(0) == 2);
  CHECK(slice<0>(half, 1, two_to_62 / 2, largest).extent(0) == 1);
  CHECK(roll<0>(half, std::numeric_limits<std::int64_t>::min()).extent(0) == two_to_62 / 2);
  CHECK(roll<0>(half, largest).extent(0) == two_to_62 / 2);
  CHECK(reshape<Spec<"x,y", _>>(half, {two_to_32, two_to_32 / 8}).size() == two_to_62 / 2);
}

TEST_CASE("steps larger than a dimension are as one to its end") {
  on_every_mesh([](TwoAxes const& mesh) {
    auto const x = filled<ShardedTensor<TwoAxes, Spec<"x,y">, double>>(mesh, {7}, 1);
    std::vector<double> const elements = dense_values({7}, 1);
    for (std::int64_t begin = 0; begin < 7; ++begin)
      CHECK(difference(slice<0>(x, begin, 7, largest), {elements[static_cast<std::size_t>(begin)]}) == "");
    CHECK(difference(roll<0>(x, largest), [&] {
            std::vector<double> rolled(7);
            for (std::size_t i = 0; i < 7; ++i) rolled[(i + static_cast<std::size_t>(largest % 7)) % 7] = elements[i];
            return rolled;
          }()) == "");
  });
}
