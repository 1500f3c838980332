// SPDX-License-Identifier: Apache-2.0
// The communication of einsums, as constants: the lowering table of the paper (T48), the table of the planner row by
// row, and what programs rely on.
#include <gshard/einsum.hpp>

namespace {

using namespace gshard;
using gshard::detail::PlanFault;

/// Collectives of a plan, to be compared as a whole.
struct Counts {
  int all_gather = 0, all_reduce = 0, reduce_scatter = 0, all_to_all = 0, permute = 0, ring = 0, exchange = 0;
  friend constexpr bool operator==(Counts const&, Counts const&) = default;
};

constexpr Counts counts_in(CollectiveCounts const& plan) {
  return {plan.all_gather, plan.all_reduce, plan.reduce_scatter, plan.all_to_all,
          plan.permute,    plan.ring,       plan.exchange};
}

constexpr Counts nothing{};
constexpr Counts one_all_gather{.all_gather = 1};
constexpr Counts one_all_reduce{.all_reduce = 1};
constexpr Counts one_reduce_scatter{.reduce_scatter = 1};
constexpr Counts one_all_to_all{.all_to_all = 1};
constexpr Counts one_ring{.ring = 1};
constexpr Counts one_exchange{.exchange = 1};

template <FixedString Text, class... Types>
constexpr Counts counts = counts_in(plan_of<Text, Types...>);

/// The spec that an einsum propagates.
template <FixedString Text, class Mesh, class... Types>
using propagated = spec_of<Mesh, plan_of<Text, Types...>.result>;

/// Why an einsum with this declared result may not be planned, where nothing is movable. (plan_of itself does not
/// compile then.)
template <FixedString Text, class A, class B, class Result>
constexpr PlanFault fault = plan_einsum(gshard::detail::declared_facts<Text, Result, A, B>()).fault;

constexpr bool must_move(PlanFault const& found, int operand, int axis, char letter) {
  return found.kind == PlanFault::operand_must_move && found.operand == operand && found.axis == axis &&
         found.letter == letter;
}
constexpr bool must_reorder(PlanFault const& found, int operand) {
  return found.kind == PlanFault::operand_must_reorder && found.operand == operand;
}
constexpr bool must_reduce(PlanFault const& found, int operand, int axis) {
  return found.kind == PlanFault::operand_must_reduce && found.operand == operand && found.axis == axis;
}

// ---- T48: one axis x of size 4. "r" is `_` -------------------------------------------------------------------------
namespace lowering_table {

template <AxisNames... Entries>
using T = ShardedTensor<Mesh<Axis<"x", 4>>, Spec<Entries...>>;

static_assert(counts<"ab,bc->ac", T<_, _>, T<_, "x">, T<_, "x">> == nothing);
static_assert(counts<"ab,bc->ac", T<"x", _>, T<_, _>, T<"x", _>> == nothing);
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>, T<_, _>> == one_all_reduce);
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>, T<"x", _>> == one_reduce_scatter);
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>, T<_, "x">> == one_reduce_scatter);

// AB[x,r],BC[r,x]->AC[x,r]: BC is gathered, or goes round in a loop, but only where the call says so.
static_assert(must_move(fault<"ab,bc->ac", T<"x", _>, T<_, "x">, T<"x", _>>, 1, 0, 'a'));
static_assert(counts<"ab,bc->ac", T<"x", _>, Movable<T<_, "x">>, T<"x", _>> == one_all_gather);
static_assert(counts<"ab,bc->ac", T<"x", _>, Gathered<T<_, "x">>, T<"x", _>> == one_all_gather);
static_assert(plan_of<"ab,bc->ac", T<"x", _>, Movable<T<_, "x">>, T<"x", _>>.operand_moves[1].all_gather == 1);
static_assert(counts<"ab,bc->ac", T<"x", _>, InRing<T<_, "x">>, T<"x", _>> == one_ring);
static_assert(must_move(fault<"ab,bc->ac", T<"x", _>, T<_, "x">, T<_, "x">>, 0, 0, 'c'));
static_assert(counts<"ab,bc->ac", Movable<T<"x", _>>, T<_, "x">, T<_, "x">> == one_all_gather);
static_assert(counts<"ab,bc->ac", InRing<T<"x", _>>, T<_, "x">, T<_, "x">> == one_ring);

// AB[x,r],BC[x,r]->AC[x,r]: BC is gathered, or goes round on the contracted letter; or AB is exchanged and the sum
// scattered: the marks decide.
static_assert(must_move(fault<"ab,bc->ac", T<"x", _>, T<"x", _>, T<"x", _>>, 1, 0, 'a'));
static_assert(counts<"ab,bc->ac", T<"x", _>, Movable<T<"x", _>>, T<"x", _>> == one_all_gather);
static_assert(counts<"ab,bc->ac", T<"x", _>, InRing<T<"x", _>>, T<"x", _>> == one_ring);
static_assert(counts<"ab,bc->ac", Movable<T<"x", _>>, T<"x", _>, T<"x", _>> ==
              Counts{.reduce_scatter = 1, .all_to_all = 1});
static_assert(counts<"ab,bc->ac", Movable<T<"x", _>>, Movable<T<"x", _>>, T<"x", _>> == one_all_gather,
              "the declared letter: nothing moves after");
static_assert(counts<"ab,bc->ac", Gathered<T<"x", _>>, Movable<T<"x", _>>, T<"x", _>> ==
                  Counts{.reduce_scatter = 1, .all_to_all = 1},
              "the mark overrides it");

// The mixture of experts: dispatch, the two expert layers, combine, gate.
static_assert(counts<"gsec,gsm->egcm", T<"x", _, _, _>, T<"x", _, _>, T<"x", _, _, _>> == one_all_to_all);
static_assert(counts<"egcm,emh->egch", T<"x", _, _, _>, T<"x", _, _>, T<"x", _, _, _>> == nothing);
static_assert(counts<"egch,ehm->gecm", T<"x", _, _, _>, T<"x", _, _>, T<"x", _, _, _>> == one_all_to_all);
static_assert(counts<"gsm,me->gse", T<"x", _, _>, T<_, _>, T<"x", _, _>> == nothing);

static_assert(counts<"ab->a", T<"x", _>, T<"x">> == nothing);
static_assert(counts<"ab->b", T<"x", _>, T<_>> == one_all_reduce);

}  // namespace lowering_table

// ---- Two letters on one axis: the fewest bytes, where the types fix all extents
namespace fewest_bytes {
template <AxisNames... Entries>
using T = ShardedTensor<Mesh<Axis<"x", 4>>, Spec<Entries...>>;

template <std::int64_t A, std::int64_t B, std::int64_t C>
constexpr EinsumPlan outer =
    plan_of<"ab,bc->ac", Movable<T<extent("x", A), extent(B)>>, Movable<T<extent(B), extent("x", C)>>>;
static_assert(outer<4096, 512, 64>.operand_moves[1].all_gather == 1 && outer<4096, 512, 64>.total() == 1,
              "the smaller one moves: the right one here");
static_assert(outer<64, 512, 4096>.operand_moves[0].all_gather == 1 && outer<64, 512, 4096>.total() == 1,
              "and the left one here");
static_assert(outer<64, 512, 64>.operand_moves[1].all_gather == 1, "the fixed rule where both are as large");
static_assert(
    plan_of<"ab,bc->ac", Movable<T<"x", extent(512)>>, Movable<T<extent(512), extent("x", 4096)>>>.operand_moves[1].all_gather ==
        1,
    "and where an extent is not known");
static_assert(plan_of<"ab,bc->ac", Movable<T<extent("x", 64), extent(512)>>, Movable<T<extent(512), extent("x", 4096)>>, T<"x", _>>.operand_moves[1].all_gather == 1,
              "what is declared comes first");
// Working on b asks for an all-to-all of the right operand and an all-reduce of the result, on c for all-gathers of the
// left operand and the result.
template <std::int64_t A, std::int64_t B, std::int64_t C>
constexpr EinsumPlan contracted =
    plan_of<"ab,bc->ac", Movable<T<extent(A), extent("x", B)>>, Movable<T<extent(B), extent("x", C)>>, T<_, _>>;
static_assert(contracted<64, 512, 4096>.all_reduce == 0 && contracted<64, 512, 4096>.operand_moves[0].all_gather == 1);
static_assert(contracted<512, 4096, 64>.all_reduce == 1 && contracted<512, 4096, 64>.operand_moves[1].all_to_all == 1);
}  // namespace fewest_bytes

// ---- Strategies by marks: gather the left, gather the right, ring
namespace strategies {

template <AxisNames... Entries>
using T = ShardedTensor<Mesh<Axis<"x", 4>>, Spec<Entries...>>;

template <FixedString Text, class... Types>
constexpr EinsumLoop loop = plan_of<Text, Types...>.loop;

// Each of the two operands can be the one that moves, whatever the rule would choose.
static_assert(plan_of<"ab,bc->ac", Gathered<T<"x", _>>, T<_, "x">>.operand_moves[0].all_gather == 1);
static_assert(plan_of<"ab,bc->ac", T<"x", _>, Gathered<T<_, "x">>>.operand_moves[1].all_gather == 1);
static_assert(plan_of<"ab,bc->ac", Gathered<T<"x", _>>, Gathered<T<_, "x">>>.operand_moves[1].all_gather == 1,
              "both: the left one stays");
static_assert(plan_of<"ab,bc->ac", Gathered<T<"x", _>>, Gathered<T<_, "x">>, T<_, "x">>.operand_moves[0].all_gather ==
                  1,
              "or as the result is declared");

// T45: a ring of four is four products and three permutes, whatever operand goes round and whether the letter is kept,
// a batch or contracted.
static_assert(loop<"ab,bc->ac", T<"x", _>, InRing<T<_, "x">>>.products() == 4 &&
              loop<"ab,bc->ac", T<"x", _>, InRing<T<_, "x">>>.permutes() == 3);
static_assert(loop<"ab,bc->ac", T<"x", _>, InRing<T<_, "x">>>.role == Role::right &&
              loop<"ab,bc->ac", T<"x", _>, InRing<T<_, "x">>>.letter == 'c');
static_assert(loop<"ab,bc->ac", T<"x", _>, InRing<T<"x", _>>>.letter == 'b', "contracted: windows add up");
static_assert(loop<"nab,nbc->nac", T<_, "x", _>, InRing<T<"x", _, _>>>.letter == 'n', "a batch");
static_assert(loop<"ab,bc->ac", InRing<T<"x", _>>, T<_, "x">>.role == Role::left);
static_assert(loop<"ab,bc->ac", InRing<T<"x", _>>, InRing<T<_, "x">>, T<_, "x">>.role == Role::left,
              "of two, the declared result's letter stays");
static_assert(plan_of<"ab,bc->ac", T<"x", _>, InRing<T<_, "x">>>.operand_moves[1].is_free(), "no rank holds the whole");
static_assert(plan_of<"ab,bc->ac", T<"x", _>, InRing<T<_, "x">>>.total() == 1);

// The result: its sums go round in place of a reduce-scatter.
static_assert(loop<"ab,bc->ac", T<_, "x">, T<"x", _>, InRing<T<"x", _>>>.role == Role::result);
static_assert(loop<"ab,bc->ac", T<_, "x">, T<"x", _>, InRing<T<_, "x">>>.letter == 'c');
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>, InRing<T<_, "x">>> == one_ring);
static_assert(plan_of<"ab,bc->ac", T<_, "x">, T<"x", _>, InRing<T<_, "x">>>.produced == T<_, "x">::layout,
              "no rank holds a whole partial sum");
static_assert(counts<"ab->a", T<_, "x">, InRing<T<"x">>> == one_ring);

// Where there is nothing to gather, or nothing that could go round, the call is refused.
template <FixedString Text, class A, class B, class Result>
constexpr PlanFault refusal = plan_einsum(gshard::detail::declared_facts<Text, Result, A, B>()).fault;
static_assert(refusal<"ab,bc->ac", T<"x", _>, Gathered<T<_, _>>, T<"x", _>>.kind == PlanFault::operand_stays);
static_assert(refusal<"ab,bc->ac", T<_, "x">, InRing<T<"x", _>>, T<_, _>>.kind == PlanFault::operand_stays);
static_assert(refusal<"ab,bc->ac", InRing<T<"x", _>>, T<"x", _>, T<"x", _>>.kind == PlanFault::no_ring,
              "an all-to-all brings it at once");
static_assert(refusal<"ab,bc->ac", T<_, "x">, T<"x", _>, InRing<T<_, _>>>.kind == PlanFault::no_ring,
              "an all-reduce has no windows");
static_assert(refusal<"ab,bc->ac", T<"x", _>, T<_, _>, InRing<T<"x", _>>>.operand == 2);

}  // namespace strategies

// ---- T48: two axes
using Grid = Mesh<Axis<"x">, Axis<"y">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

static_assert(counts<"bd,df->bf", T<"x", _>, T<_, "y">, T<"x", "y">> == nothing);

// ---- The planner's table, row by row: a and b are what the axis splits, o what it is to split
// ------------------------ a = b = a letter that the result keeps
static_assert(counts<"nab,nbc->nac", T<"x", _, _>, T<"x", _, _>, T<"x", _, _>> == nothing);
static_assert(counts<"nab,nbc->nac", T<"x", _, _>, T<"x", _, _>, T<_, "x", _>> == one_all_to_all);
static_assert(counts<"nab,nbc->nac", T<"x", _, _>, T<"x", _, _>, T<_, _, _>> == one_all_gather);
// a = b = a contracted letter
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>, T<_, _>> == one_all_reduce);
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>, T<_, "x">> == one_reduce_scatter);
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>, T<_, _, partial("x")>> == nothing, "the sum is left to later");
// one operand is split, the other holds the letter whole: it is sliced
static_assert(counts<"nab,nbc->nac", T<"x", _, _>, T<_, _, _>, T<"x", _, _>> == nothing);
static_assert(plan_of<"nab,nbc->nac", T<"x", _, _>, T<_, _, _>, T<"x", _, _>>.operand_moves[1].steps[0].movement ==
              Movement::slice);
static_assert(counts<"ab,bc->ac", T<_, "x">, T<_, _>, T<_, _>> == one_all_reduce);
static_assert(counts<"ab,bc->ac", T<_, _>, T<"x", _>, T<"x", _>> == one_reduce_scatter);
static_assert(counts<"ab,bc->ac", T<_, _>, T<"x", _>, T<_, _, partial("x")>> == nothing);
// one operand is split, the other lacks the letter
static_assert(counts<"ab,bc->ac", T<"x", _>, T<_, _>, T<"x", _>> == nothing);
static_assert(counts<"ab,bc->ac", T<"x", _>, T<_, _>, T<_, "x">> == one_all_to_all);
static_assert(counts<"ab,bc->ac", T<"x", _>, T<_, _>, T<_, _>> == one_all_gather);
static_assert(plan_of<"ab,bc->ac", T<"x", _>, T<_, _>, T<_, _>>.result_move.all_gather == 1,
              "of the result, not of an operand");
// two letters: an all-to-all where the other operand has the letter, else an all-gather
static_assert(must_move(fault<"ab,bc->ac", T<"x", _>, T<"x", _>, T<_, _>>, 0, 0, 'b'));
static_assert(counts<"ab,bc->ac", Movable<T<"x", _>>, T<"x", _>, T<_, _>> == Counts{.all_reduce = 1, .all_to_all = 1});
static_assert(counts<"ab,bc->ac", T<"x", _>, Movable<T<_, "x">>, T<_, _>> == Counts{.all_gather = 2});
static_assert(counts<"nab,nbc->nac", T<"x", _, _>, Movable<T<_, "x", _>>, T<"x", _, _>> == one_all_to_all);
// neither is split, the result is to be: both are sliced
static_assert(counts<"ab,bc->ac", T<_, _>, T<_, _>, T<"x", _>> == nothing);
static_assert(plan_of<"ab,bc->ac", T<_, _>, T<_, _>, T<"x", _>>.operand_moves[0].steps[0].movement == Movement::slice);
static_assert(plan_of<"ab,bc->ac", T<_, _>, T<_, _>, T<"x", _>>.result_move.steps.empty());
// no one
static_assert(plan_of<"ab,bc->ac", T<_, _>, T<_, _>, T<_, _>>.steps().empty());

// ---- Each axis is planned by itself
static_assert(counts<"bd,df->bf", T<"x", "y">, T<"y", _>, T<"x", _>> == one_all_reduce,
              "tensor parallel, second layer");
static_assert(plan_of<"bd,df->bf", T<"x", "y">, T<"y", _>, T<"x", _>>.result_move.steps[0].axes == AxisSet::of(1),
              "over y alone");
static_assert(counts<"bd,df->bf", T<"x", _>, Movable<T<"x", _>>, T<"x", _>> == one_all_gather, "fully sharded weights");
static_assert(counts<"bd,df->bf", T<"x", _>, Movable<T<"x", "y">>, T<"x", "y">> == one_all_gather,
              "and tensor parallel");
static_assert(counts<"bd,bf->df", T<"x", _>, T<"x", _>, T<_, _>> == one_all_reduce,
              "the gradient of replicated weights");
static_assert(counts<"bd,bf->df", T<"x", _>, T<"x", _>, T<"x", _>> == one_reduce_scatter, "of fully sharded ones");
static_assert(counts<"bd,bf->df", T<"x,y", _>, T<"x,y", _>, T<_, _>> == one_all_reduce, "one over both axes");
static_assert(counts<"bd,bf->df", T<"x,y", _>, T<"x,y", _>, T<"x", "y">> == one_reduce_scatter);
static_assert(counts<"ab,bc->ac", T<_, "x">, T<_, "y">, T<_, "y">> == one_all_reduce, "x sums, y splits");

// ---- What moves along one axis
constexpr EinsumPlan fully_sharded = plan_of<"bd,df->bf", T<"x", _>, Movable<T<"x", "y">>, T<"x", "y">>;
static_assert(fully_sharded.over("x").all_gather == 1 && fully_sharded.over("x").total() == 1 &&
              fully_sharded.over("y").total() == 0);
static_assert(fully_sharded.steps().size() == 1 && fully_sharded.steps()[0].role == Role::right &&
              fully_sharded.steps()[0].movement == Movement::all_gather);
static_assert(plan_of<"bd,bf->df", T<"x,y", _>, T<"x,y", _>, T<_, _>>.over("y").all_reduce == 1,
              "one over both axes counts for each");
static_assert(counts<"bd,df->bf", T<"x", _>, InRing<T<"x", "y">>, T<"x", "y">> == one_ring,
              "over x; y splits the result");
static_assert(counts<"bd,df->bf", T<"x,y", _>, InRing<T<"x,y", _>>, T<"x,y", _>> == one_ring,
              "one ring over both axes");
static_assert(plan_of<"bd,df->bf", T<"x,y", _>, InRing<T<"x,y", _>>, T<"x,y", _>>.loop.axes ==
              (AxisSet::of(0) | AxisSet::of(1)));
static_assert(plan_of<"bd,df->bf", T<"x,y", _>, InRing<T<"x,y", _>>, T<"x,y", _>>.loop.ranks == 0,
              "known when the program runs");
static_assert(counts<"bd,bf->df", T<"x", _>, T<"x", "y">, InRing<T<"x", "y">>> == one_ring);
static_assert(counts<"bd,bf->df", T<"x,y", _>, T<"x,y", _>, InRing<T<"x", _>>> == Counts{.all_reduce = 1, .ring = 1},
              "y is reduced of the block alone");

// ---- Several axes on one letter: their order is part of the layout
static_assert(counts<"ab,bc->ac", T<_, "x,y">, T<"x,y", _>, T<_, _>> == one_all_reduce);
static_assert(counts<"ab,bc->ac", T<_, "x,y">, T<"x", _>, T<_, _>> == one_all_reduce,
              "the second operand is sliced once more");
static_assert(must_reorder(fault<"ab,bc->ac", T<_, "x,y">, T<"y,x", _>, T<_, _>>, 1), "C1");
static_assert(counts<"ab,bc->ac", T<_, "x,y">, Movable<T<"y,x", _>>, T<_, _>> ==
              Counts{.all_reduce = 1, .exchange = 1});
static_assert(must_reorder(fault<"ab,bc->ac", T<_, "x,y">, T<"y", _>, T<_, _>>, 1),
              "y cuts what x left, not the whole");
static_assert(counts<"ab,bc->ac", T<"x,y", _>, T<_, _>, T<"y,x", _>> == one_exchange, "the declared order");
static_assert(counts<"gsec,gsm->egcm", T<"x,y", _, _, _>, T<"x,y", _, _>, T<"y", "x", _, _>> == one_all_to_all,
              "the quickstart's dispatch");
static_assert(
    plan_of<"gsec,gsm->egcm", T<"x,y", _, _, _>, T<"x,y", _, _>, T<"y", "x", _, _>>.result_move.steps[0].axes ==
    AxisSet::of(1));

// ---- Unreduced sums
static_assert(counts<"ab,bc->ac", T<_, _, partial("x")>, T<_, _>, T<_, _>> == one_all_reduce,
              "the product is linear: reduce the result");
static_assert(counts<"ab,bc->ac", T<_, _, partial("x")>, T<_, _>, T<"x", _>> == one_reduce_scatter);
static_assert(counts<"ab,bc->ac", T<_, _, partial("x")>, T<_, "y">, T<_, "y", partial("x")>> == nothing);
static_assert(must_reduce(fault<"ab,bc->ac", T<_, _, partial("x")>, T<_, "x">, T<_, "x">>, 0, 0));
static_assert(must_reduce(fault<"ab,bc->ac", T<_, _, partial("x")>, T<_, _, partial("x")>, T<_, _>>, 0, 0));
static_assert(counts<"ab,bc->ac", Movable<T<_, _, partial("x")>>, T<_, "x">, T<_, "x">> == one_all_reduce);
static_assert(counts<"ab,bc->ac", Movable<T<_, _, partial("x")>>, T<"x", _>, T<_, _, partial("x")>> ==
              one_reduce_scatter);
static_assert(counts<"ab->ba", T<_, _, partial("x")>, T<_, _, partial("x")>> == nothing);

// ---- One operand
static_assert(counts<"ab->ba", T<"x", _>, T<_, "x">> == nothing, "a transpose is local");
static_assert(counts<"ab->ba", T<"x", _>, T<"x", _>> == one_all_to_all);
static_assert(counts<"ab->", T<"x", "y">, T<>> == one_all_reduce);
static_assert(counts<"ab->a", T<"x", "y">, T<"x">> == one_all_reduce);
static_assert(counts<"ab->a", T<"x", "y">, T<"x,y">> == one_reduce_scatter);
static_assert(counts<"ii->i", T<_, _>, T<"x">> == nothing, "the diagonal is taken of the whole, then sliced");

// ---- Propagated specs
static_assert(std::is_same_v<propagated<"ab,bc->ac", Grid, T<"x", _>, T<_, "y">>, Spec<"x", "y">>);
static_assert(std::is_same_v<propagated<"ab,bc->ac", Grid, T<_, "x">, T<"x", _>>, Spec<_, _>>, "sums are reduced");
static_assert(counts<"ab,bc->ac", T<_, "x">, T<"x", _>> == one_all_reduce);
static_assert(std::is_same_v<propagated<"ab,bc->ac", Grid, T<"x,y", _>, T<_, _>>, Spec<"x,y", _>>);
static_assert(
    std::is_same_v<propagated<"ab,bc->ac", Grid, T<_, _, partial("y")>, T<_, "x">>, Spec<_, "x", partial("y")>>,
    "sums that came in stay");
static_assert(counts<"ab,bc->ac", T<_, _, partial("y")>, T<_, "x">> == nothing);
static_assert(
    std::is_same_v<propagated<"egcm,emh->egch", Grid, T<"y", "x", _, _>, T<"y", _, _>>, Spec<"y", "x", _, _>>);

}  // namespace
