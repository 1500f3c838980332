// SPDX-License-Identifier: Apache-2.0
// Ranks along named axes: coordinates, groups, and meshes that do not fit the job.
#include "dense_reference.hpp"
#include "mpi_test.hpp"

#include <string>
#include <vector>

#include <gshard/mesh.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
using Cube = Mesh<Axis<"x">, Axis<"y">, Axis<"z">>;

/// The sum of a number over a group.
int sum_over(Group const& group, int value) {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_SUM, group.communicator());
  return value;
}

/// The text of the MeshError that making a mesh throws.
template <class Make>
std::string refusal(Make const& make) {
  try {
    make();
  } catch (MeshError const& error) {
    return error.what();
  }
  return "nothing thrown";
}

void check_mentions(std::string const& text, std::initializer_list<std::string> parts) {
  for (std::string const& part : parts)
    CHECK_MESSAGE(text.find(part) != std::string::npos, "'", part, "' is not in: ", text);
}

}  // namespace

TEST_CASE("the last axis runs fastest") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    CHECK(mesh.ranks() == ranks());
    CHECK(mesh.rank() == rank());
    CHECK(mesh.size<"x">() == shape[0]);
    CHECK(mesh.size<"y">() == shape[1]);
    CHECK(mesh.coordinate<"x">() == rank() / shape[1]);
    CHECK(mesh.coordinate<"y">() == rank() % shape[1]);
    CHECK(mesh.text() == "x=" + std::to_string(shape[0]) + ", y=" + std::to_string(shape[1]));
  }
}

TEST_CASE("coordinates of every rank of three axes") {
  Cube const mesh(runtime(), {1, ranks(), 1});
  for (int other = 0; other < ranks(); ++other)
    CHECK(mesh.state().coordinates_of(other) == std::vector<int>{0, other, 0});
  if (ranks() != 8) return;
  Cube const cube(runtime(), {2, 2, 2});
  CHECK(cube.state().coordinates_of(5) == std::vector<int>{1, 0, 1});
  CHECK(cube.state().coordinates_of(6) == std::vector<int>{1, 1, 0});
  CHECK(cube.coordinate<"y">() == (rank() / 2) % 2);
}

TEST_CASE("a group holds the ranks that differ along its axes only, in row-major order") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    int const row = rank() / shape[1];
    int const column = rank() % shape[1];
    int ranks_in_column = 0;
    int ranks_in_row = 0;
    for (int i = 0; i < shape[0]; ++i) ranks_in_column += i * shape[1] + column;
    for (int j = 0; j < shape[1]; ++j) ranks_in_row += row * shape[1] + j;
    CHECK(mesh.group<"x">().size == shape[0]);
    CHECK(mesh.group<"x">().rank == row);
    CHECK(sum_over(mesh.group<"x">(), rank()) == ranks_in_column);
    CHECK(mesh.group<"y">().rank == column);
    CHECK(sum_over(mesh.group<"y">(), rank()) == ranks_in_row);
    CHECK(mesh.group<"x", "y">().size == ranks());
    CHECK(mesh.group<"x", "y">().rank == rank());
    CHECK(mesh.group<"y", "x">().communicator() == mesh.group<"x", "y">().communicator());
    CHECK(mesh.group<>().size == 1);
    CHECK(mesh.state().member_coordinates(AxisSet::of(0), shape[0] - 1) == std::vector<int>{shape[0] - 1, column});
    int communicator_rank = -1;
    MPI_Comm_rank(mesh.group<"x">().communicator(), &communicator_rank);
    CHECK(communicator_rank == row);
  }
}

TEST_CASE("copies are handles of one mesh; equal sizes do not make one mesh") {
  Line const mesh(runtime(), {ranks()});
  Line const copy = mesh;
  Line const other(runtime(), {ranks()});
  CHECK(copy == mesh);
  CHECK_FALSE(other == mesh);
}

TEST_CASE("sizes in the type") {
  if (ranks() == 1) {
    Mesh<Axis<"x", 1>, Axis<"y", 1>> const mesh(runtime());
    CHECK(mesh.size<"y">() == 1);
  }
  Mesh<Axis<"x">, Axis<"y", 1>> const mixed(runtime(), {ranks(), 1});
  CHECK(mixed.size<"x">() == ranks());
  check_mentions(refusal([] { Mesh<Axis<"x">, Axis<"y", 1>>(runtime(), {ranks(), 2}); }),
                 {"'y'", "fixed size 1", "not 2"});
  check_mentions(refusal([] { Mesh<Axis<"x", 100>>{runtime()}; }),
                 {"x=100", "needs 100 ranks", "has " + std::to_string(ranks())});
}

TEST_CASE("a product that is not the number of ranks: every rank throws, naming sizes and both numbers") {
  int const wanted = 2 * (ranks() + 1);
  std::string const text = refusal([] { TwoAxes(runtime(), {2, ranks() + 1}); });
  check_mentions(text, {"x=2, y=" + std::to_string(ranks() + 1), "needs " + std::to_string(wanted) + " ranks",
                        "the job has " + std::to_string(ranks()), "mpirun -n " + std::to_string(wanted)});
}

TEST_CASE("sizes that are no sizes") {
  check_mentions(refusal([] { TwoAxes(runtime(), {ranks(), 0}); }), {"axis 'y' has size 0", "at least 1"});
  check_mentions(refusal([] { TwoAxes(runtime(), {-1, -ranks()}); }), {"axis 'x' has size -1"});
  CHECK(refusal([] { TwoAxes(runtime(), {65536, 65536}); }).find("needs 4294967296 ranks") != std::string::npos);
}

TEST_CASE("sizes whose product exceeds 64 bits, and numbers of ranks that exceed int, on abstract meshes as well") {
  AbstractRuntime abstract;
  int const huge = 1 << 30;
  check_mentions(refusal([&] { Cube(runtime(), {huge, huge, huge}); }), {"mesh (x=1073741824, ", "exceeds 64 bits"});
  check_mentions(refusal([&] { Cube(abstract, {huge, huge, huge}); }), {"mesh (x=1073741824, ", "exceeds 64 bits"});
  check_mentions(refusal([&] { Cube(abstract, {huge, 2, 1}); }), {"2147483648 ranks", "at most 2147483647"});
  check_mentions(refusal([&] { Cube(abstract, {huge, -2, 1}); }), {"axis 'y' has size -2"});
  check_mentions(refusal([&] { Line(abstract, {3}, RankOrder{0, 1}); }), {"lists 2 ranks", "has 3"});
  CHECK(Cube(abstract, {huge, 1, 1}).ranks() == huge);
}

TEST_CASE("an abstract mesh of 2048 devices and 8 axes has groups, but no communicators") {
  AbstractRuntime abstract;
  Mesh<Axis<"a">, Axis<"b">, Axis<"c">, Axis<"d">, Axis<"e">, Axis<"f">, Axis<"g">, Axis<"h">> const mesh(
      abstract, {2, 2, 2, 2, 2, 4, 4, 4});
  CHECK(mesh.ranks() == 2048);
  CHECK(mesh.group<"b", "h">().size == 8);
  CHECK(mesh.group<"b", "h">().axes == "b,h");
  CHECK_THROWS_WITH_AS(mesh.group<"a">().communicator(),
                       "the mesh (a=2, b=2, c=2, d=2, e=2, f=4, g=4, h=4) of an AbstractRuntime has no communicators",
                       StateError);
}

TEST_CASE("parse_sizes: one axis=size between single commas") {
  using Grid = Mesh<Axis<"data">, Axis<"expert", 4>>;
  CHECK(parse_sizes<Grid>("data=2,expert=4") == std::array{2, 4});
  CHECK(parse_sizes<Grid>("data=2") == std::array{2, 4});
  CHECK(parse_sizes<Grid>("") == std::array{1, 4});
  struct Case {
    char const* text;
    char const* reason;
  };
  for (Case const& c :
       {Case{"data=2,", "an item is empty"}, Case{",", "an item is empty"}, Case{",data=2", "an item is empty"},
        Case{"data=2,,expert=4", "an item is empty"}, Case{"data=2,expert=3", "fixes axis 'expert' at 4"},
        Case{"data", "'' is no size"}, Case{"data=", "'' is no size"}, Case{"data=0", "'0' is no size"},
        Case{"data=-1", "'-1'"}, Case{"data=+1", "'+1'"}, Case{"data= 1", "' 1'"}, Case{"data=1 ", "'1 '"},
        Case{"data=1.5", "'1.5'"}, Case{"data=2=2", "'2=2'"}, Case{"data=99999999999", "'99999999999'"},
        Case{" data=1", "no axis ' data'"}, Case{"modle=1", "no axis 'modle'"},
        Case{"data=1,data=1", "'data' is given twice"}, Case{" ", "no axis ' '"}}) {
    INFO("text: ", c.text);
    check_mentions(refusal([&] { (void)parse_sizes<Grid>(c.text); }),
                   {"mesh \"" + std::string(c.text) + "\"", c.reason});
  }
}

// ---- Which rank stands where

TEST_CASE("a rank order says which rank stands at which coordinates; groups stay in row-major order of coordinates") {
  std::vector<int> backwards;
  for (int r = ranks(); r-- > 0;) backwards.push_back(r);
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape, RankOrder(backwards));
    int const position = ranks() - 1 - rank();
    CHECK(mesh.rank() == rank());
    CHECK(mesh.coordinate<"x">() == position / shape[1]);
    CHECK(mesh.coordinate<"y">() == position % shape[1]);
    CHECK(mesh.group<"y">().rank == position % shape[1]);
    CHECK(mesh.group<"x", "y">().rank == position);
    int first = rank();
    MPI_Bcast(&first, 1, MPI_INT, 0, mesh.group<"x", "y">().communicator());
    CHECK(first == ranks() - 1);
    for (int other = 0; other < ranks(); ++other)
      CHECK(mesh.state().rank_at(mesh.state().coordinates_of(other)) == other);
  }
}

TEST_CASE("T39: an axis without wrap links, in zigzag") {
  CHECK(RankOrder::zigzag(8).ranks == std::vector<int>{0, 2, 4, 6, 7, 5, 3, 1});
  CHECK(RankOrder::zigzag(5).ranks == std::vector<int>{0, 2, 4, 3, 1});
  CHECK(RankOrder::zigzag(1).ranks == std::vector<int>{0});
  CHECK(RankOrder::zigzag(0).ranks.empty());
  check_mentions(refusal([] { RankOrder::zigzag(-3); }), {"RankOrder::zigzag: -3 ranks"});
  Line const line(runtime(), {ranks()}, RankOrder::zigzag(ranks()));
  CHECK(line.coordinate<"x">() == (rank() % 2 == 0 ? rank() / 2 : ranks() - 1 - rank() / 2));
}

TEST_CASE("an order that is no permutation: every rank throws") {
  std::vector<int> order;
  for (int r = 0; r < ranks(); ++r) order.push_back(r);
  auto refused = [&](std::vector<int> const& given) {
    return refusal([&] { Line(runtime(), {ranks()}, RankOrder(given)); });
  };
  std::vector<int> longer = order;
  longer.push_back(0);
  check_mentions(refused(longer),
                 {"mesh (x=" + std::to_string(ranks()) + ")", "lists " + std::to_string(ranks() + 1) + " ranks",
                  "has " + std::to_string(ranks())});
  check_mentions(refused({}), {"lists 0 ranks"});
  std::vector<int> beyond = order;
  beyond.back() = ranks();
  check_mentions(refused(beyond),
                 {"lists rank " + std::to_string(ranks()) + ";", "0 to " + std::to_string(ranks() - 1)});
  beyond.back() = -1;
  check_mentions(refused(beyond), {"lists rank -1"});
  if (ranks() == 1) return;
  std::vector<int> twice = order;
  twice.front() = twice.back();
  check_mentions(refused(twice), {"lists rank " + std::to_string(ranks() - 1) + " twice"});
}
