// SPDX-License-Identifier: Apache-2.0
// How a tensor gets from one spec to another: the collectives, as constants.
#include <gshard/reshard.hpp>

namespace {

using namespace gshard;

/// Collectives of a plan, to be compared as a whole.
struct Counts {
  int all_gather = 0, all_reduce = 0, reduce_scatter = 0, all_to_all = 0, permute = 0, exchange = 0;
  friend constexpr bool operator==(Counts const&, Counts const&) = default;
};

constexpr Counts nothing{};
constexpr Counts one_all_gather{.all_gather = 1};
constexpr Counts one_all_reduce{.all_reduce = 1};
constexpr Counts one_reduce_scatter{.reduce_scatter = 1};
constexpr Counts one_all_to_all{.all_to_all = 1};
constexpr Counts one_permute{.permute = 1};
constexpr Counts one_exchange{.exchange = 1};

using Line = Mesh<Axis<"x", 4>>;
using Grid = Mesh<Axis<"x">, Axis<"y">>;
using Fixed = Mesh<Axis<"x", 4>, Axis<"y", 2>>;
using Square = Mesh<Axis<"x", 2>, Axis<"y", 2>>;

template <class Mesh, class From, class To>
constexpr ReshardPlan plan = reshard_plan_of<ShardedTensor<Mesh, From>, To>;

template <class Mesh, class From, class To>
constexpr Counts counts{plan<Mesh, From, To>.all_gather, plan<Mesh, From, To>.all_reduce, plan<Mesh, From, To>.reduce_scatter,
                        plan<Mesh, From, To>.all_to_all, plan<Mesh, From, To>.permute,    plan<Mesh, From, To>.exchange};

template <class Mesh, class From, class To>
constexpr Movement only_step = plan<Mesh, From, To>.steps.size() == 1 ? plan<Mesh, From, To>.steps[0].movement : throw "not one step";

// ---- One axis --------------------------------------------------------------------------------------------------------
static_assert(plan<Line, Spec<_, _>, Spec<_, _>>.steps.empty());
static_assert(plan<Line, Spec<"x", _>, Spec<"x", _>>.steps.empty());
static_assert(plan<Line, Spec<"x", _, partial("")>, Spec<"x", _>>.steps.empty());
static_assert(counts<Line, Spec<_, _>, Spec<"x", _>> == nothing && only_step<Line, Spec<_, _>, Spec<"x", _>> == Movement::slice);
static_assert(counts<Line, Spec<"x", _>, Spec<_, _>> == one_all_gather);
static_assert(counts<Line, Spec<_, "x">, Spec<_, _>> == one_all_gather);
static_assert(counts<Line, Spec<"x", _>, Spec<_, "x">> == one_all_to_all);
static_assert(counts<Line, Spec<_, _, partial("x")>, Spec<_, _>> == one_all_reduce);
static_assert(counts<Line, Spec<_, _, partial("x")>, Spec<"x", _>> == one_reduce_scatter);
static_assert(counts<Line, Spec<_, _, partial("x")>, Spec<_, "x">> == one_reduce_scatter);
static_assert(plan<Line, Spec<_, _, partial("x")>, Spec<_, _, partial("x")>>.steps.empty());
static_assert(counts<Line, Spec<_, _>, Spec<_, _, partial("x")>> == nothing);
static_assert(only_step<Line, Spec<_, _>, Spec<_, _, partial("x")>> == Movement::zero_fill);
static_assert(counts<Line, Spec<_, "x">, Spec<_, _, partial("x")>> == nothing, "B10: zero fill, no communication");
static_assert(only_step<Line, Spec<_, "x">, Spec<_, _, partial("x")>> == Movement::zero_fill);
static_assert(counts<Line, Spec<partial("x")>, Spec<>> == one_all_reduce);

// ---- Two axes --------------------------------------------------------------------------------------------------------
static_assert(counts<Grid, Spec<"x", _>, Spec<"x", "y">> == nothing);
static_assert(counts<Grid, Spec<"x", _>, Spec<"x,y", _>> == nothing, "y cuts what x left");
static_assert(counts<Grid, Spec<"x", _>, Spec<"y,x", _>> == one_exchange, "y before x moves blocks");
static_assert(counts<Grid, Spec<"x,y", _>, Spec<"x", _>> == one_all_gather);
static_assert(counts<Grid, Spec<"x,y", _>, Spec<"y", _>> == one_exchange);
static_assert(counts<Grid, Spec<"x,y", _>, Spec<_, _>> == one_all_gather, "one gather over both axes");
static_assert(counts<Grid, Spec<"x", "y">, Spec<_, _>> == one_all_gather, "one gather of two dimensions");
static_assert(counts<Grid, Spec<"x", "y">, Spec<"x", _>> == one_all_gather);
static_assert(plan<Grid, Spec<"x", "y">, Spec<"x", _>>.steps[0].axes == AxisSet::of(1), "among the ranks of one x only");
static_assert(counts<Grid, Spec<"x,y", _>, Spec<"x", "y">> == one_all_to_all, "the dispatch of a mixture of experts");
static_assert(plan<Grid, Spec<"x,y", _>, Spec<"x", "y">>.steps[0].axes == AxisSet::of(1), "over y alone");
static_assert(counts<Grid, Spec<"x", "y">, Spec<"x,y", _>> == one_all_to_all, "and the way back");
static_assert(counts<Grid, Spec<"x,y", _>, Spec<_, "x,y">> == one_all_to_all);
static_assert(counts<Grid, Spec<"x", _, "y">, Spec<"x", "y", _>> == one_all_to_all);
static_assert(counts<Grid, Spec<"x", "y">, Spec<"y", "x">> == one_exchange);
static_assert(counts<Grid, Spec<"x">, Spec<"y">> == one_exchange, "F10: equal extents do not make equal layouts");
static_assert(counts<Grid, Spec<"x,y">, Spec<"y,x">> == one_exchange, "axes of unknown sizes");
static_assert(counts<Fixed, Spec<"x,y">, Spec<"y,x">> == one_exchange, "or of different sizes");
static_assert(counts<Square, Spec<"x,y">, Spec<"y,x">> == one_permute, "whole blocks change hands where the sizes are equal");
static_assert(counts<Fixed, Spec<"y", _, "x">, Spec<_, "x,y", _>> == one_exchange, "C12: never the whole tensor on one rank");
static_assert(plan<Fixed, Spec<"y", _, "x">, Spec<_, "x,y", _>>.steps.size() == 1);

// ---- Reductions come before movements, slices before reductions ------------------------------------------------------
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<_, _>> == one_all_reduce, "one over both axes");
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<"x,y", _>> == one_reduce_scatter);
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<"x", _>> == Counts{.all_reduce = 1, .reduce_scatter = 1});
static_assert(plan<Grid, Spec<_, _, partial("x,y")>, Spec<"x", _>>.steps[0].movement == Movement::reduce_scatter, "the smaller one last");
static_assert(counts<Grid, Spec<"y", _, partial("x")>, Spec<"y", _>> == one_all_reduce);
static_assert(counts<Grid, Spec<"y", _, partial("x")>, Spec<"y", "x">> == one_reduce_scatter);
static_assert(counts<Grid, Spec<"y", _, partial("x")>, Spec<_, _>> == Counts{.all_gather = 1, .all_reduce = 1});
static_assert(counts<Grid, Spec<_, _, partial("x")>, Spec<"y", _>> == one_all_reduce);
static_assert(plan<Grid, Spec<_, _, partial("x")>, Spec<"y", _>>.steps[0].movement == Movement::slice, "half of the sum is enough");
static_assert(counts<Grid, Spec<_, _, partial("x")>, Spec<_, _, partial("y")>> == one_all_reduce);
static_assert(counts<Grid, Spec<_, _, partial("x")>, Spec<_, _, partial("x,y")>> == nothing);
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<_, _, partial("y")>> == one_all_reduce);

// ---- The largest block or buffer on the way --------------------------------------------------------------------------
template <class Mesh, AxisNames... Entries>
using On = ShardedTensor<Mesh, Spec<Entries...>>;

static_assert(largest_buffer<On<Fixed, "y", _, "x">, Spec<_, "x,y", _>>({16, 16, 16}) == 512, "C12: a rank's share, and never the 4096 of the whole");
static_assert(plan<Fixed, Spec<"y", _, "x">, Spec<_, "x,y", _>>.total() <= 2);
static_assert(largest_buffer<On<Line, "x", _>, Spec<"x", _>>({16, 16}) == 0, "nothing to do");
static_assert(largest_buffer<On<Line, _, _>, Spec<"x", _>>({16, 16}) == 64, "a slice");
static_assert(largest_buffer<On<Line, "x", _>, Spec<_, _>>({16, 16}) == 256);
static_assert(largest_buffer<On<Line, "x", _>, Spec<_, "x">>({5, 3}) == 6, "parts of a block of 2 x 3; the new one is 5 x 1");
static_assert(largest_buffer<On<Line, _, _, partial("x")>, Spec<"x", _>>({16, 16}) == 256, "an unreduced sum is whole on every rank");
static_assert(largest_buffer<On<Line, _, _, partial("x")>, Spec<_, _>>({5, 3}) == 15);
static_assert(largest_buffer<On<Line, "x", _>, Spec<_, "x">>({0, 3}) == 0);
static_assert(largest_buffer<On<Grid, "x,y", _>, Spec<"y", _>>({8, 2}, {4, 2}) == 8, "sizes that the type does not fix");

}  // namespace
