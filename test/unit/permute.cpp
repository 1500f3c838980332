// SPDX-License-Identifier: Apache-2.0
// Layouts that cut a tensor into the same blocks and give them to other ranks: whole blocks change hands.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <array>
#include <chrono>
#include <vector>

#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Square = Mesh<Axis<"x", 2>, Axis<"y", 2>>;
using Cube = Mesh<Axis<"x", 2>, Axis<"y", 2>, Axis<"z", 2>>;

std::vector<Extents> const extents_of_two = {{4, 6}, {5, 7}, {1, 3}, {2, 1}, {0, 3}};

template <class From, class To, class Mesh>
void check_permute(Mesh const& mesh, std::vector<Extents> const& cases) {
  using Source = ShardedTensor<Mesh, From, double>;
  static_assert(reshard_plan_of<Source, To>.permute == 1 && reshard_plan_of<Source, To>.total() == 1);
  for (Extents const& extents : cases) {
    auto const source = filled<Source>(mesh, extents, 3);
    auto const before = local_values(source);
    auto const result = reshard<To>(source);
    CHECK(difference(result, dense_values_of(source, 3)) == "");
    CHECK_MESSAGE(local_values(reshard<From>(result)) == before, "and back");
  }
}

}  // namespace

TEST_CASE("two axes of one size") {
  on_ranks(4, [](Runtime& four) {
    Square const mesh(four);
    check_permute<Spec<"x,y", _>, Spec<"y,x", _>>(mesh, extents_of_two);
    check_permute<Spec<"x", "y">, Spec<"y", "x">>(mesh, extents_of_two);
    check_permute<Spec<"x", _>, Spec<"y", _>>(mesh, extents_of_two);
    check_permute<Spec<_, "y">, Spec<_, "x">>(mesh, extents_of_two);
    Square const turned(four, RankOrder{3, 1, 0, 2});
    check_permute<Spec<"x", "y">, Spec<"y", "x">>(turned, extents_of_two);
  });
}

TEST_CASE("ranks that keep their blocks, those of the diagonal, take part in what all members of a group do") {
  on_ranks(4, [](Runtime& four) {
    Runtime checked(four.communicator());
    checked.check_communication(true, std::chrono::seconds(20));
    check_permute<Spec<"x", "y">, Spec<"y", "x">>(Square(checked), extents_of_two);
  });
}

TEST_CASE("three axes: cycles and chains") {
  Cube const mesh(runtime());
  std::vector<Extents> const cases = {{4, 6, 2}, {3, 5, 7}, {1, 2, 1}};
  check_permute<Spec<"x", "y", "z">, Spec<"y", "z", "x">>(mesh, cases);
  check_permute<Spec<"x", "y", _>, Spec<"y", "z", _>>(mesh, cases);
  check_permute<Spec<"x,y", "z", _>, Spec<"z,x", "y", _>>(mesh, cases);
  check_permute<Spec<"x", _, _, partial("y")>, Spec<"z", _, _, partial("y")>>(mesh, cases);
}

TEST_CASE("who holds the block afterwards, by hand") {
  on_ranks(4, [](Runtime& four) {
    auto const tiles = filled<ShardedTensor<Square, Spec<"x", "y">, double>>(
        Square(four), {2, 2}, 0, [](std::int64_t, std::int64_t position) { return static_cast<double>(position); });
    CHECK(local_values(tiles) == std::vector<double>{static_cast<double>(rank())});
    CHECK(local_values(reshard<Spec<"y", "x">>(tiles)) ==
          std::vector<double>{std::array{0.0, 2.0, 1.0, 3.0}[static_cast<std::size_t>(rank())]});
  });
}
