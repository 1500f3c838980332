// SPDX-License-Identifier: Apache-2.0
// Meshes whose ranks stand in an order of their own, and the paper's device assignments: values by hand, and operations
// that give the same on every order.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <array>
#include <vector>

#include <gshard/einsum.hpp>
#include <gshard/reshard.hpp>
#include <gshard/tensor.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Cube = Mesh<Axis<"x">, Axis<"y">, Axis<"z">>;
using Ranks = std::vector<int>;

template <class Mesh, AxisNames... Entries>
DeviceAssignment assignment(Mesh const& mesh) {
  Extents extents;
  for (int d = 0; d < Spec<Entries...>::rank; ++d) extents.push_back(8);
  return device_assignment(ShardedTensor<Mesh, Spec<Entries...>>(mesh, extents));
}

Ranks const in_order = {0, 1, 2, 3, 4, 5, 6, 7};
Ranks const by_columns = {0, 4, 1, 5, 2, 6, 3, 7};

}  // namespace

TEST_CASE("T34: [3,16,64] with the assignment [1,2,4]") {
  TwoAxes const mesh(runtime(), {2, 4});
  ShardedTensor<TwoAxes, Spec<_, "x", "y">> const tensor(mesh, {3, 16, 64});
  CHECK(device_assignment(tensor) == DeviceAssignment{{1, 2, 4}, 1, in_order});
  CHECK(tensor.local_extents() == Extents{3, 8, 16});
}

TEST_CASE("T36, T37: parts, replicas and ranks of specs on a 2 x 4 mesh, and on a 2 x 2 x 2 one") {
  TwoAxes const mesh(runtime(), {2, 4});
  CHECK(assignment<TwoAxes, "x", "y">(mesh) == DeviceAssignment{{2, 4}, 1, in_order});
  CHECK(assignment<TwoAxes, "y", "x">(mesh) == DeviceAssignment{{4, 2}, 1, by_columns});
  CHECK(assignment<TwoAxes, "x", _>(mesh) == DeviceAssignment{{2, 1}, 4, in_order});
  CHECK(assignment<TwoAxes, "y", _>(mesh) == DeviceAssignment{{4, 1}, 2, by_columns});
  CHECK(assignment<TwoAxes, _, "y">(mesh) == DeviceAssignment{{1, 4}, 2, by_columns});
  CHECK(assignment<TwoAxes, _, _>(mesh) == DeviceAssignment{{1, 1}, 8, in_order});
  CHECK(assignment<TwoAxes, _, "x", "y">(mesh) == DeviceAssignment{{1, 2, 4}, 1, in_order});
  // T37: what the ranks of one block hold is the user's own affair: parts of a sum, here.
  CHECK(assignment<TwoAxes, "y", _, partial("x")>(mesh) == DeviceAssignment{{4, 1}, 2, by_columns});
  CHECK(assignment<Cube, "z", "x">(Cube(runtime(), {2, 2, 2})) ==
        DeviceAssignment{{2, 2}, 2, {0, 2, 4, 6, 1, 3, 5, 7}});
}

TEST_CASE("several axes on one dimension count as listed") {
  TwoAxes const mesh(runtime(), {2, 4});
  CHECK(assignment<TwoAxes, "x,y">(mesh) == DeviceAssignment{{8}, 1, in_order});
  CHECK(assignment<TwoAxes, "y,x">(mesh) == DeviceAssignment{{8}, 1, by_columns});
}

TEST_CASE("T38: the rows of a 2 x 4 network are rings, and of a tree they are its halves") {
  TwoAxes const torus(runtime(), {2, 4}, RankOrder{0, 1, 5, 4, 2, 3, 7, 6});
  CHECK(assignment<TwoAxes, "x", "y">(torus) == DeviceAssignment{{2, 4}, 1, {0, 1, 5, 4, 2, 3, 7, 6}});
  Ranks members(4);
  int const mine = rank();
  MPI_Allgather(&mine, 1, MPI_INT, members.data(), 1, MPI_INT, torus.group<"y">().communicator());
  CHECK(members == (torus.coordinate<"x">() == 0 ? Ranks{0, 1, 5, 4} : Ranks{2, 3, 7, 6}));
  CHECK(assignment<TwoAxes, "x", "y">(TwoAxes(runtime(), {2, 4})) == DeviceAssignment{{2, 4}, 1, in_order});
}

TEST_CASE("sizes in the type, and an order") {
  on_ranks(4, [](Runtime& four) {
    Mesh<Axis<"x", 2>, Axis<"y", 2>> const mesh(four, RankOrder{3, 1, 2, 0});
    CHECK(mesh.coordinate<"x">() == std::array{1, 0, 1, 0}[static_cast<std::size_t>(rank())]);
    CHECK(mesh.coordinate<"y">() == std::array{1, 1, 0, 0}[static_cast<std::size_t>(rank())]);
  });
}

TEST_CASE("C3 on a mesh with an order: the tile (x, y) is with the rank that stands there") {
  on_ranks(4, [](Runtime& four) {
    TwoAxes const mesh(four, {2, 2}, RankOrder{2, 0, 3, 1});
    auto const tile = filled<ShardedTensor<TwoAxes, Spec<"x", "y">, double>>(
        mesh, {2, 2}, 0, [](std::int64_t, std::int64_t position) { return static_cast<double>(position); });
    CHECK(local_values(tile) == std::vector<double>{std::array{1.0, 3.0, 0.0, 2.0}[static_cast<std::size_t>(rank())]});
  });
}

TEST_CASE("an order changes who holds what, and no result") {
  for (RankOrder const& order :
       {RankOrder{0, 1, 5, 4, 2, 3, 7, 6}, RankOrder{7, 6, 5, 4, 3, 2, 1, 0}, RankOrder::zigzag(8)}) {
    TwoAxes const mesh(runtime(), {2, 4}, order);
    Extents const extents{7, 10};
    auto const x = filled<ShardedTensor<TwoAxes, Spec<"x", "y">, double>>(mesh, extents, 1);
    auto const w = filled<ShardedTensor<TwoAxes, Spec<"y", _>, double>>(mesh, {10, 5}, 2);
    auto const expected =
        dense_einsum("ab,bc->ac", {{extents, dense_values(extents, 1)}, {{10, 5}, dense_values({10, 5}, 2)}});
    CHECK(difference(x, dense_values(extents, 1)) == "");
    CHECK(difference(reshard<Spec<"y", "x">>(x), dense_values(extents, 1)) == "");
    CHECK(difference(reshard<Spec<_, "y,x">>(x), dense_values(extents, 1)) == "");
    CHECK(difference(einsum<"ab,bc->ac">(x, w).eval(), expected.values) == "");
    CHECK(difference(einsum<"ab,bc->ac">(x, w).eval_as<Spec<"x", "y">>(), expected.values) == "");
  }
}
