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
constexpr Counts counts{plan<Mesh, From, To>.all_gather,     plan<Mesh, From, To>.all_reduce,
                        plan<Mesh, From, To>.reduce_scatter, plan<Mesh, From, To>.all_to_all,
                        plan<Mesh, From, To>.permute,        plan<Mesh, From, To>.exchange};

template <class Mesh, class From, class To>
constexpr Movement only_step =
    plan<Mesh, From, To>.steps.size() == 1 ? plan<Mesh, From, To>.steps[0].movement : throw "not one step";

// ---- One axis
static_assert(plan<Line, Spec<_, _>, Spec<_, _>>.steps.empty());
static_assert(plan<Line, Spec<"x", _>, Spec<"x", _>>.steps.empty());
static_assert(plan<Line, Spec<"x", _, partial("")>, Spec<"x", _>>.steps.empty());
static_assert(counts<Line, Spec<_, _>, Spec<"x", _>> == nothing &&
              only_step<Line, Spec<_, _>, Spec<"x", _>> == Movement::slice);
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

// ---- Two axes
static_assert(counts<Grid, Spec<"x", _>, Spec<"x", "y">> == nothing);
static_assert(counts<Grid, Spec<"x", _>, Spec<"x,y", _>> == nothing, "y cuts what x left");
static_assert(counts<Grid, Spec<"x", _>, Spec<"y,x", _>> == one_exchange, "y before x moves blocks");
static_assert(counts<Grid, Spec<"x,y", _>, Spec<"x", _>> == one_all_gather);
static_assert(counts<Grid, Spec<"x,y", _>, Spec<"y", _>> == one_exchange);
static_assert(counts<Grid, Spec<"x,y", _>, Spec<_, _>> == one_all_gather, "one gather over both axes");
static_assert(counts<Grid, Spec<"x", "y">, Spec<_, _>> == one_all_gather, "one gather of two dimensions");
static_assert(counts<Grid, Spec<"x", "y">, Spec<"x", _>> == one_all_gather);
static_assert(plan<Grid, Spec<"x", "y">, Spec<"x", _>>.steps[0].axes == AxisSet::of(1),
              "among the ranks of one x only");
static_assert(counts<Grid, Spec<"x,y", _>, Spec<"x", "y">> == one_all_to_all, "the dispatch of a mixture of experts");
static_assert(plan<Grid, Spec<"x,y", _>, Spec<"x", "y">>.steps[0].axes == AxisSet::of(1), "over y alone");
static_assert(counts<Grid, Spec<"x", "y">, Spec<"x,y", _>> == one_all_to_all, "and the way back");
static_assert(counts<Grid, Spec<"x,y", _>, Spec<_, "x,y">> == one_all_to_all);
static_assert(counts<Grid, Spec<"x", _, "y">, Spec<"x", "y", _>> == one_all_to_all);
static_assert(counts<Grid, Spec<"x", "y">, Spec<"y", "x">> == one_exchange);
static_assert(counts<Grid, Spec<"x">, Spec<"y">> == one_exchange, "F10: equal extents do not make equal layouts");
static_assert(counts<Grid, Spec<"x,y">, Spec<"y,x">> == one_exchange, "axes of unknown sizes");
static_assert(counts<Fixed, Spec<"x,y">, Spec<"y,x">> == one_exchange, "or of different sizes");
static_assert(counts<Square, Spec<"x,y">, Spec<"y,x">> == one_permute,
              "whole blocks change hands where the sizes are equal");
static_assert(counts<Square, Spec<"x", "y">, Spec<"y", "x">> == one_permute);
static_assert(counts<Square, Spec<"x", _>, Spec<"y", _>> == one_permute, "replicas change hands, too");
static_assert(plan<Square, Spec<"x", _>, Spec<"y", _>>.steps[0].axes == AxisSet{0b11});
static_assert(counts<Square, Spec<"x", _>, Spec<_, "y">> == one_all_gather, "of the part that y slices");
static_assert(counts<Fixed, Spec<"x", "y">, Spec<"y", "x">> == one_exchange, "blocks of other sizes");
static_assert(largest_buffer<ShardedTensor<Square, Spec<"x", "y">>, Spec<"y", "x">>({8, 8}) == 16, "nothing is packed");
static_assert(counts<Fixed, Spec<"y", _, "x">, Spec<_, "x,y", _>> == one_exchange,
              "C12: never the whole tensor on one rank");
static_assert(plan<Fixed, Spec<"y", _, "x">, Spec<_, "x,y", _>>.steps.size() == 1);

// ---- T41: an all-to-all of 8 MiB per rank: what one rank sends to another
template <int Ranks>
constexpr std::int64_t bytes_per_peer() {
  using Wide = Mesh<Axis<"x", Ranks>>;
  std::int64_t const row = (std::int64_t{8} << 20) / 4;
  static_assert(counts<Wide, Spec<"x", _>, Spec<_, "x">> == one_all_to_all);
  return 4 * largest_buffer<ShardedTensor<Wide, Spec<_, _>>, Spec<_, "x">>({1, row});
}
static_assert(bytes_per_peer<16>() == 524288 && bytes_per_peer<128>() == 65536 && bytes_per_peer<512>() == 16384 &&
              bytes_per_peer<2048>() == 4096);

// ---- Three axes
using Cube = Mesh<Axis<"x">, Axis<"y">, Axis<"z">>;
static_assert(counts<Cube, Spec<"x,y,z", _>, Spec<_, _>> == one_all_gather);
static_assert(counts<Cube, Spec<"x,y,z", _>, Spec<"x", _>> == one_all_gather);
static_assert(counts<Cube, Spec<"x,y,z", _>, Spec<"x,y", "z">> == one_all_to_all);
static_assert(counts<Cube, Spec<"x,y,z", _>, Spec<"x", "y,z">> == one_all_to_all, "over both axes at once");
static_assert(plan<Cube, Spec<"x,y,z", _>, Spec<"x", "y,z">>.steps[0].axes == AxisSet{0b110});
static_assert(counts<Cube, Spec<"x", "y", "z">, Spec<"x,y", _, "z">> == one_all_to_all);
static_assert(counts<Cube, Spec<"x", "y", "z">, Spec<"y", "z", "x">> == one_exchange);
static_assert(counts<Cube, Spec<"x", _, _>, Spec<"x", "y", "z">> == nothing);
static_assert(counts<Cube, Spec<"x", "y", _, partial("z")>, Spec<"x", "y", "z">> == one_reduce_scatter);
static_assert(counts<Cube, Spec<"x", _, partial("y,z")>, Spec<"x", "z">> ==
              Counts{.all_reduce = 1, .reduce_scatter = 1});
static_assert(counts<Cube, Spec<"x", _, partial("y")>, Spec<_, "x,y">> == Counts{.reduce_scatter = 1, .exchange = 1});

// ---- Reductions come before movements, slices before reductions
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<_, _>> == one_all_reduce, "one over both axes");
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<"x,y", _>> == one_reduce_scatter);
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<"x", _>> == Counts{.all_reduce = 1, .reduce_scatter = 1});
static_assert(plan<Grid, Spec<_, _, partial("x,y")>, Spec<"x", _>>.steps[0].movement == Movement::reduce_scatter,
              "the smaller one last");
static_assert(counts<Grid, Spec<"y", _, partial("x")>, Spec<"y", _>> == one_all_reduce);
static_assert(counts<Grid, Spec<"y", _, partial("x")>, Spec<"y", "x">> == one_reduce_scatter);
static_assert(counts<Grid, Spec<"y", _, partial("x")>, Spec<_, _>> == Counts{.all_gather = 1, .all_reduce = 1});
static_assert(counts<Grid, Spec<_, _, partial("x")>, Spec<"y", _>> == one_all_reduce);
static_assert(plan<Grid, Spec<_, _, partial("x")>, Spec<"y", _>>.steps[0].movement == Movement::slice,
              "half of the sum is enough");
static_assert(counts<Grid, Spec<_, _, partial("x")>, Spec<_, _, partial("y")>> == one_all_reduce);
static_assert(counts<Grid, Spec<_, _, partial("x")>, Spec<_, _, partial("x,y")>> == nothing);
static_assert(counts<Grid, Spec<_, _, partial("x,y")>, Spec<_, _, partial("y")>> == one_all_reduce);

// ---- The largest block or buffer on the way
template <class Mesh, AxisNames... Entries>
using On = ShardedTensor<Mesh, Spec<Entries...>>;

static_assert(largest_buffer<On<Fixed, "y", _, "x">, Spec<_, "x,y", _>>({16, 16, 16}) == 512,
              "C12: a rank's share, and never the 4096 of the whole");
static_assert(plan<Fixed, Spec<"y", _, "x">, Spec<_, "x,y", _>>.total() <= 2);
static_assert(largest_buffer<On<Line, "x", _>, Spec<"x", _>>({16, 16}) == 0, "nothing to do");
static_assert(largest_buffer<On<Line, _, _>, Spec<"x", _>>({16, 16}) == 64, "a slice");
static_assert(largest_buffer<On<Line, "x", _>, Spec<_, _>>({16, 16}) == 256);
static_assert(largest_buffer<On<Line, "x", _>, Spec<_, "x">>({5, 3}) == 6,
              "parts of a block of 2 x 3; the new one is 5 x 1");
static_assert(largest_buffer<On<Line, _, _, partial("x")>, Spec<"x", _>>({16, 16}) == 256,
              "an unreduced sum is whole on every rank");
static_assert(largest_buffer<On<Line, _, _, partial("x")>, Spec<_, _>>({5, 3}) == 15);
static_assert(largest_buffer<On<Line, "x", _>, Spec<_, "x">>({0, 3}) == 0);
static_assert(largest_buffer<On<Grid, "x,y", _>, Spec<"y", _>>({8, 2}, {4, 2}) == 8,
              "sizes that the type does not fix");

}  // namespace
