// SPDX-License-Identifier: Apache-2.0
// What a plan promises is what MPI is asked for: calls and bytes as seen through MPI's profiling interface, against
// plans, the ledger, and explain.
#include "counted_mpi.hpp"
#include "einsum_table.hpp"
#include "mpi_test.hpp"

#include <array>
#include <string>
#include <tuple>
#include <type_traits>

#include <gshard/einsum.hpp>
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;
using namespace gshard::test;

int checked = 0;

/// Extents that all groups divide, so that every rank takes part in everything, and others.
std::array<Lengths, 4> const run_lengths = {{{"divisible", {24, 48, 72, 24, 24}},
                                             {"uneven", {5, 7, 3, 6, 2}},
                                             {"tiny", {1, 2, 1, 1, 2}},
                                             {"empty", {3, 0, 4, 1, 2}}}};

/// The kind of collective of a movement; of movements that send nothing, any.
Collective collective_of(Movement movement) {
  switch (movement) {
    case Movement::all_gather: return Collective::all_gather;
    case Movement::all_reduce: return Collective::all_reduce;
    case Movement::reduce_scatter: return Collective::reduce_scatter;
    case Movement::all_to_all:
    case Movement::exchange: return Collective::all_to_all;
    default: return Collective::permute;
  }
}

MpiCalls const& calls_of(CountedMpi const& seen, Collective collective) {
  switch (collective) {
    case Collective::all_gather: return seen.all_gather;
    case Collective::all_reduce: return seen.all_reduce;
    case Collective::reduce_scatter: return seen.reduce_scatter;
    case Collective::all_to_all: return seen.all_to_all;
    default: return seen.send;
  }
}

/// Runs `action` and compares what MPI has seen with what `explain` says, and with the ledger: bytes of each kind of
/// collective; and calls, where each rank takes part in everything. Collectives over one rank alone are none.
template <class Action>
void check(Explanation const& explanation, bool all_take_part, Action const& action) {
  Ledger& ledger = runtime().ledger();
  ledger.clear();
  ledger.open();
  counted_mpi() = {};
  action();
  CountedMpi const seen = counted_mpi();
  ledger.close();
  INFO(explanation.text);
  for (Collective kind : {Collective::all_gather, Collective::all_reduce, Collective::reduce_scatter,
                          Collective::all_to_all, Collective::permute}) {
    INFO(text_of(kind));
    std::int64_t calls = 0;
    std::int64_t bytes = 0;
    bool keeps_its_block = false;
    for (ExplainedMove const& move : explanation.moves) {
      if (move.free || collective_of(move.movement) != kind) continue;
      calls += move.movement == Movement::ring ? move.ranks - 1 : 1;
      bytes += move.bytes;
      keeps_its_block = keeps_its_block || (move.movement == Movement::permute && move.bytes == 0);
    }
    CHECK(calls_of(seen, kind).bytes == bytes);
    CHECK(ledger.bytes_sent(kind) == bytes);
    if (all_take_part && !keeps_its_block) CHECK(calls_of(seen, kind).calls == calls);
  }
  ++checked;
}

/// The plan and its explanation have the same collectives.
void check_plan(CollectiveCounts const& plan, Explanation const& explanation) {
  CollectiveCounts explained;
  for (ExplainedMove const& move : explanation.moves) explained.add(move.movement);
  for (int CollectiveCounts::* count :
       {&CollectiveCounts::all_gather, &CollectiveCounts::all_reduce, &CollectiveCounts::reduce_scatter,
        &CollectiveCounts::all_to_all, &CollectiveCounts::permute, &CollectiveCounts::ring,
        &CollectiveCounts::exchange})
    CHECK(explained.*count == plan.*count);
}

template <FixedString Text, class Result, class... Operands>
void check_einsum(TwoAxes const& mesh, Lengths const& length, Row<Text, Result, Operands...> row) {
  constexpr Subscripts subscripts = subscripts_of<Text>;
  using Declared = Of<float, typename MarkedSpec<Result>::spec>;
  int operand = 0;
  auto make = [&]<class Spec>(std::type_identity<Spec>) {
    Extents const extents = extents_of(subscripts.operands[operand], length);
    return filled<Of<float, Spec>>(mesh, extents, ++operand);
  };
  std::tuple<Of<float, typename MarkedSpec<Operands>::spec>...> const tensors{
      make(std::type_identity<typename MarkedSpec<Operands>::spec>{})...};
  std::apply(
      [&](auto const&... tensor) {
        Declared const declared(mesh, extents_of(subscripts.result, length));
        Explanation const explanation =
            explain<Text>(MarkedSpec<Operands>::marked(tensor)..., MarkedSpec<Result>::marked(declared));
        if constexpr (sizeof...(Operands) < 3)
          check_plan(plan_of<Text, decltype(MarkedSpec<Operands>::marked(tensor))...,
                             decltype(MarkedSpec<Result>::marked(declared))>,
                     explanation);
        check(explanation, &length == &run_lengths[0], [&] { Declared const result = einsum_of(row, tensor...); });
      },
      tensors);
}

template <class... Rows>
void check_einsums(std::tuple<Rows...>) {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    for (Lengths const& length : run_lengths) (check_einsum(mesh, length, Rows{}), ...);
  }
}

template <class From, class... To>
void check_reshards() {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    for (Lengths const& length : run_lengths) {
      auto const x = filled<Of<float, From>>(mesh, {length('a'), length('b')}, 1);
      (check_plan(reshard_plan_of<Of<float, From>, To>, explain<To>(x)), ...);
      (check(explain<To>(x), &length == &run_lengths[0], [&] { auto const y = reshard<To>(x); }), ...);
    }
  }
}

}  // namespace

TEST_CASE("einsums ask MPI for what their plans and explanations say") {
  checked = 0;
  using Whole = Spec<_, _>;
  check_einsums(
      std::tuple<Row<"ab,bc->ac", Spec<"x", "y">, Spec<"x", _>, Spec<_, "y">>,
                 Row<"ab,bc->ac", Whole, Spec<_, "x">, Spec<"x", _>>,
                 Row<"ab,bc->ac", Spec<"x", _>, Spec<_, "x">, Spec<"x", _>>,
                 Row<"ab,bc->ac", Spec<_, "x">, Spec<_, "x">, Spec<"x", _>>,
                 Row<"ab,bc->ac", Spec<_, _, partial("x")>, Spec<_, "x">, Spec<"x", _>>,
                 Row<"ab,bc->ac", Spec<"y", "x">, Spec<"y", "x">, Spec<"x", _>>,
                 Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", "y">, Spec<"y", _>>,
                 Row<"ab,bc->ac", Spec<"x,y", _>, Spec<"x,y", _>, Whole>,
                 Row<"ab,bc->ac", Spec<_, "x,y">, Spec<"x,y", _>, Whole>, Row<"ab,bc->ac", Whole, Spec<"x", _>, Whole>,
                 Row<"ab,bc->ac", Spec<"x", "y">, Spec<_, "x,y">, Spec<"x,y", _>>,
                 Row<"ab,bc->ac", Whole, Spec<_, "x,y">, Spec<"x,y", _>>, Row<"ab->b", Spec<_>, Spec<"x", _>>,
                 Row<"ab->ba", Spec<"x", _>, Spec<"x", "y">>>{});
  check_einsums(std::tuple<Row<"dab,dbc->dac", Spec<"x", "y", _>, Spec<"x", "y", _>, Spec<"x", _, _>>,
                           Row<"dab,dbc->dac", Spec<_, "x", "y">, Spec<"x", _, "y">, Spec<"x", "y", _>>,
                           Row<"dab,dbc->adc", Spec<"y", "x", _>, Spec<"x,y", _, _>, Spec<"x,y", _, _>>>{});
  CHECK(checked >= 17);
}

TEST_CASE("operands that move, at once or in a ring, ask MPI for what their plans and explanations say") {
  checked = 0;
  check_einsums(std::tuple<Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Movable<Spec<_, "x">>>,
                           Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, Gathered<Spec<"x", _>>>,
                           Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", "y">, Movable<Spec<"y", "x">>>,
                           Row<"ab,bc->ac", Spec<_, "x">, Movable<Spec<_, _, partial("x")>>, Spec<_, "x">>,
                           Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, InRing<Spec<_, "x">>>,
                           Row<"ab,bc->ac", Spec<"x", _>, Spec<"x", _>, InRing<Spec<"x", _>>>,
                           Row<"ab,bc->ac", Spec<"x,y", _>, Spec<"x,y", _>, InRing<Spec<"x,y", _>>>,
                           Row<"ab,bc->ac", Spec<_, "x">, InRing<Spec<"x", _>>, Spec<_, "x">>>{});
  check_einsums(std::tuple<Row<"ab,bc->ac", InRing<Spec<"x", _>>, Spec<_, "x">, Spec<"x", _>>,
                           Row<"ab,bc->ac", InRing<Spec<"x", _>>, Spec<_, "x,y">, Spec<"x,y", _>>,
                           Row<"ab,bc,cd->ad", Spec<"x", _>, Spec<"x", _>, Movable<Spec<"x", _>>, Spec<_, "y">>>{});
  CHECK(checked >= 11);
}

TEST_CASE("reshards ask MPI for what their plans and explanations say") {
  checked = 0;
  check_reshards<Spec<_, _>, Spec<"x", "y">, Spec<"x", _, partial("y")>>();
  check_reshards<Spec<"x", _>, Spec<_, _>, Spec<_, "x">, Spec<"y", _>, Spec<_, _, partial("x")>>();
  check_reshards<Spec<"x", "y">, Spec<_, _>, Spec<"y", "x">, Spec<"y,x", _>, Spec<"x", "y">>();
  check_reshards<Spec<"x,y", _>, Spec<_, "x,y">, Spec<"x", "y">, Spec<"x", _>, Spec<"y", _>, Spec<"y,x", _>>();
  check_reshards<Spec<_, _, partial("x")>, Spec<_, _>, Spec<"x", _>>();
  check_reshards<Spec<_, _, partial("x,y")>, Spec<_, _>, Spec<"x", "y">>();
  check_reshards<Spec<"y", _, partial("x")>, Spec<_, "y">, Spec<"y", "x">>();
  CHECK(checked >= 21);
}

TEST_CASE("whole blocks change hands by one message each where the mesh's type says that the axes have one size") {
  using Square = Mesh<Axis<"x", 2>, Axis<"y", 2>>;
  using Rows = ShardedTensor<Square, Spec<"x", _>, float>;
  CHECK(reshard_plan_of<Rows, Spec<"y", _>>.permute == 1);
  if (ranks() < 4) return;
  on_ranks(4, [](Runtime& four) {
    Square const mesh(four);
    Rows const x(mesh, {6, 3});
    Explanation const explanation = explain<Spec<"y", _>>(x);
    counted_mpi() = {};
    auto const y = reshard<Spec<"y", _>>(x);
    CHECK(counted_mpi().send.bytes == explanation.bytes_sent());
    CHECK(counted_mpi().send.bytes == (mesh.coordinate(0) == mesh.coordinate(1) ? 0 : 36));
    CHECK(counted_mpi().all_to_all.calls == 0);
  });
}
