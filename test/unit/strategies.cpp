// SPDX-License-Identifier: Apache-2.0
// Strategies of einsums whose operands split different letters over an axis: gather the left operand, gather the right
// one, or let one go round in a ring; and the ring in place of a reduce-scatter. All against loops over all letters.
#include "einsum_table.hpp"
#include "mpi_test.hpp"

#include <limits>
#include <set>
#include <tuple>

#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

template <AxisNames... Entries>
using On = ShardedTensor<TwoAxes, Spec<Entries...>, double>;

using Gathers = std::tuple<Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Gathered<Spec<_, "x">>>,
                           Row<"ab,bc->ac", Spec<_, _>, Gathered<Spec<"x", _>>, Spec<_, "x">>,
                           Row<"ab,bc->ac", Spec<"x", _>, Gathered<Spec<"x", _>>, Movable<Spec<_, "x">>>,
                           Row<"ab,bc->ac", Propagated, Gathered<Spec<"x", _>>, Gathered<Spec<_, "x">>>,
                           Row<"ab,bc->ac", Spec<"x", "y">, Spec<"x", _>, Gathered<Spec<"x", "y">>>,
                           Row<"ab,bc->ac", Spec<"x", _>, Gathered<Spec<"x", _>>, Spec<"x", _>>>;

/// Rings over kept, contracted and batch letters, over one axis or two, beside other axes.
using OperandRings = std::tuple<Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, InRing<Spec<_, "x">>>,
                                Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, InRing<Spec<"x", _>>>,
                                Row<"ab,bc->ac", Propagated, InRing<Spec<"x", _>>, Spec<_, "x">>,
                                Row<"ab,bc->ac", Spec<_, "x">, InRing<Spec<_, "x">>, Spec<_, "x">>,
                                Row<"nab,nbc->nac", Spec<_, "x", _>, Spec<_, "x", _>, InRing<Spec<"x", _, _>>>,
                                Row<"ab,bc->ac", Spec<"x", "y">, Spec<"x", _>, InRing<Spec<"x", "y">>>,
                                Row<"ab,bc->ac", Propagated, Spec<"x,y", _>, InRing<Spec<"x,y", _>>>,
                                Row<"ab,bc->ac", Propagated, Spec<"x,y", _>, InRing<Spec<_, "y,x">>>,
                                Row<"ab,bc->ac", Spec<"y", _>, Spec<"y", _>, InRing<Spec<"x,y", _>>>,
                                Row<"ba,bc->ca", Spec<_, "y">, Spec<_, "y">, InRing<Spec<_, "x,y">>>,
                                Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", "y">, InRing<Spec<"y,x", _>>>,
                                Row<"ab,cd->ac", Propagated, Spec<"x", _>, InRing<Spec<_, "x">>>,
                                Row<"ab,cd->bc", Propagated, Spec<"x", _>, InRing<Spec<"x", _>>>,
                                Row<"ab,bc->", Spec<>, Spec<"x", _>, InRing<Spec<_, "x">>>,
                                Row<"a,b->ba", Spec<"x", _>, InRing<Spec<"x">>, Spec<"x">>,
                                Row<"ab,bc->ac", Spec<_, "x">, Spec<"x", _>, InRing<Spec<_, "x">>>>;

using ResultRings = std::tuple<Row<"ab,bc->ac", InRing<Spec<"x", _>>, Spec<_, "x">, Spec<"x", _>>,
                               Row<"ab,bc->ac", InRing<Spec<_, "x">>, Spec<_, "x">, Spec<"x", _>>,
                               Row<"ab,bc->ca", InRing<Spec<"x", _>>, Spec<_, "x">, Spec<_, _>>,
                               Row<"nab,nbc->nac", InRing<Spec<"x", _, _>>, Spec<_, _, "x">, Spec<_, "x", _>>,
                               Row<"ab,bc->ac", InRing<Spec<"x", "y">>, Spec<_, "x">, Spec<"x", "y">>,
                               Row<"ab,bc->ac", InRing<Spec<"x,y", _>>, Spec<_, "x,y">, Spec<"x,y", _>>,
                               Row<"ab,bc->ac", InRing<Spec<"y,x", _>>, Spec<"y", "x">, Spec<"x", _>>,
                               Row<"ab,bc->ac", InRing<Spec<"x", _>>, Spec<_, "x,y">, Spec<"x,y", _>>,
                               Row<"ab,bc->ac", InRing<Spec<"x", _, partial("y")>>, Spec<_, "x,y">, Spec<"x,y", _>>,
                               Row<"ab->a", InRing<Spec<"x">>, Spec<_, "x">>,
                               Row<"ab,bc->ac", InRing<Spec<"x", _>>, Spec<_, _, partial("x")>, Spec<_, "y">>>;

}  // namespace

TEST_CASE("the marked operand is gathered") { check_table<double>(Gathers{}); }
TEST_CASE("operands go round in a ring, in double") { check_table<double>(OperandRings{}); }
TEST_CASE("operands go round in a ring, in float") { check_table<float>(OperandRings{}); }
TEST_CASE("sums of the result go round in a ring, in double") { check_table<double>(ResultRings{}); }
TEST_CASE("sums of the result go round in a ring, in float") { check_table<float>(ResultRings{}); }

// ---- The order of the windows

TEST_CASE("T45: windows of a ring of four, rank by rank, and who hands them to whom") {
  int const windows[4][4] = {{0, 1, 2, 3}, {1, 2, 3, 0}, {2, 3, 0, 1}, {3, 0, 1, 2}};
  int const targets[4] = {3, 0, 1, 2};
  for (int rank = 0; rank < 4; ++rank) {
    for (int iteration = 0; iteration < 4; ++iteration)
      CHECK(ring_window(rank, iteration, 4) == windows[rank][iteration]);
    CHECK(ring_target(rank, 4) == targets[rank]);
    CHECK(ring_source(ring_target(rank, 4), 4) == rank);
  }
}

TEST_CASE("in a ring of any size each rank meets each window once, and gets the next one from its source") {
  for (int size = 1; size <= 9; ++size)
    for (int rank = 0; rank < size; ++rank) {
      std::set<int> met;
      for (int iteration = 0; iteration < size; ++iteration) {
        met.insert(ring_window(rank, iteration, size));
        CHECK(ring_window(rank, iteration + 1, size) == ring_window(ring_source(rank, size), iteration, size));
      }
      CHECK(static_cast<int>(met.size()) == size);
    }
}

// ---- What is written, read and held -------------------------------------------------------------------------------

namespace {

using Line = Mesh<Axis<"x">>;
template <AxisNames... Entries>
using OnLine = ShardedTensor<Line, Spec<Entries...>, double>;

std::vector<double> product_of(Extents const& a, Extents const& b) {
  return dense_einsum("ab,bc->ac", {{a, dense_values(a, 1)}, {b, dense_values(b, 2)}}).values;
}

}  // namespace

TEST_CASE("plain assignment never reads what the result held; += adds to it once") {
  Line const mesh(runtime(), {ranks()});
  for (std::int64_t extent : {0, 1, 5, 8}) {
    Extents const left{6, extent};
    Extents const right{extent, 7};
    std::vector<double> const once = product_of(left, right);
    std::vector<double> thrice = once;
    for (double& value : thrice) value *= 3;
    auto check = [&](auto y, auto const& expression) {
      fill(y, [](GlobalIndex<2> const&) { return std::numeric_limits<double>::quiet_NaN(); });
      assign(y, expression());
      CHECK(difference(y, once) == "");
      y += expression();
      y += expression();
      CHECK(difference(y, thrice) == "");
      y -= expression();
      y -= expression();
      CHECK(difference(y, once) == "");
    };
    auto const rows = filled<OnLine<"x", _>>(mesh, left, 1);
    auto const columns = filled<OnLine<_, "x">>(mesh, left, 1);
    auto const by_rows = filled<OnLine<"x", _>>(mesh, right, 2);
    auto const by_columns = filled<OnLine<_, "x">>(mesh, right, 2);
    check(OnLine<"x", _>(mesh, {6, 7}), [&] { return einsum<"ab,bc->ac">(rows, in_ring(by_rows)); });
    check(OnLine<"x", _>(mesh, {6, 7}), [&] { return einsum<"ab,bc->ac">(rows, in_ring(by_columns)); });
    check(OnLine<"x", _>(mesh, {6, 7}), [&] { return in_ring(einsum<"ab,bc->ac">(columns, by_rows)); });
    check(OnLine<_, "x">(mesh, {6, 7}), [&] { return in_ring(einsum<"ab,bc->ac">(columns, by_rows)); });
  }
}

TEST_CASE("no rank ever holds a whole operand or a whole sum") {
  Line const mesh(runtime(), {ranks()});
  std::int64_t const p = ranks();
  std::int64_t const block = 64 * 64 * static_cast<std::int64_t>(sizeof(double));
  auto const reserved_by = [&](auto const& work) {
    auto const reserved = [] {
      return static_cast<std::int64_t>(runtime().memory()->bytes_reserved<OnLine<_>::memory_space>());
    };
    std::int64_t const before = reserved();
    work();
    return reserved() - before;
  };
  auto const x = filled<OnLine<"x", _>>(mesh, {p, 64 * p}, 1);
  auto const y = filled<OnLine<"x", _>>(mesh, {64 * p, 64}, 2);
  CHECK_MESSAGE(reserved_by([&] { OnLine<"x", _> const rows = einsum<"ab,bc->ac">(x, in_ring(y)); }) <= 3 * block,
                "two windows and a row");
  auto const z = filled<OnLine<_, "x">>(mesh, {64 * p, 8 * p}, 3);
  auto const w = filled<OnLine<"x", _>>(mesh, {8 * p, 64}, 4);
  CHECK_MESSAGE(reserved_by([&] { OnLine<"x", _> const sums = in_ring(einsum<"ab,bc->ac">(z, w)); }) <= 4 * block,
                "three blocks and the result");
}

TEST_CASE("of several operands, the marked one moves in the contraction that meets it") {
  Line const mesh(runtime(), {ranks()});
  auto const x = filled<OnLine<"x", _>>(mesh, {5, 4}, 1);
  auto const w = filled<OnLine<"x", _>>(mesh, {4, 6}, 2);
  auto const v = filled<OnLine<"x", _>>(mesh, {6, 3}, 3);
  auto const expected = dense_einsum("ab,bc,cd->ad", {{x.extents(), dense_values({5, 4}, 1)},
                                                      {w.extents(), dense_values({4, 6}, 2)},
                                                      {v.extents(), dense_values({6, 3}, 3)}});
  static_assert(
      plan_of<"ab,bc,cd->ad", OnLine<"x", _>, InRing<OnLine<"x", _>>, Gathered<OnLine<"x", _>>, OnLine<"x", _>>.ring ==
      1);
  static_assert(
      plan_of<"ab,bc,cd->ad", OnLine<"x", _>, InRing<OnLine<"x", _>>, Gathered<OnLine<"x", _>>, OnLine<"x", _>>.all_gather ==
      1);
  OnLine<"x", _> const y = einsum<"ab,bc,cd->ad">(x, in_ring(w), gathered(v));
  CHECK(difference(y, expected.values) == "");

  auto const inner = filled<OnLine<_, "x">>(mesh, {5, 4}, 1);
  OnLine<"x", _> const sums = in_ring(einsum<"ab,bc,cd->ad">(inner, w, filled<OnLine<_, _>>(mesh, {6, 3}, 3)));
  CHECK(difference(sums, expected.values) == "");
}
