// SPDX-License-Identifier: Apache-2.0
// What a spec says, and when two specs are one type.
#include <string_view>
#include <type_traits>

#include <gshard/tensor.hpp>

namespace {

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"expert">, Axis<"tensor", 2>>;
constexpr AxisSet data = AxisSet::of(0);
constexpr AxisSet expert = AxisSet::of(1);
constexpr AxisSet tensor = AxisSet::of(2);

// ---- Names
static_assert(AxisNames("data").count() == 1);
static_assert(AxisNames("").count() == 0 && _.empty());
static_assert(AxisNames("data,expert").count() == 2);
static_assert(AxisNames("data,expert")[0] == "data" && AxisNames("data,expert")[1] == "expert");
static_assert(AxisNames("data, expert") == AxisNames("data,expert"), "blanks say nothing");
static_assert(std::is_same_v<Spec<"data, expert", _>, Spec<"data,expert", "">>, "nor do they make another type");
static_assert(!std::is_same_v<Spec<"data,expert">, Spec<"expert,data">>, "the order is major to minor");

// ---- Partial is a set
static_assert(std::is_same_v<Spec<_, partial("expert,data")>, Spec<_, partial("data, expert")>>);
static_assert(partial("data") != AxisNames("data"), "a partial entry is no dimension");
static_assert(partial("tensor,data,expert").view() == "data,expert,tensor");
static_assert(partial("data,data").view() == "data");

// ---- Rank
static_assert(Spec<>::rank == 0);
static_assert(Spec<partial("data")>::rank == 0, "a scalar that is still to be summed");
static_assert(Spec<_, "data", _>::rank == 3);
static_assert(Spec<_, "data", _, partial("expert")>::rank == 3);
static_assert(Spec<_, "data", partial("expert")>::dimension(1) == AxisNames("data"));
static_assert(Spec<_, "data", partial("expert")>::partial_axes().view() == "expert");
static_assert(Spec<_, "data">::partial_axes().empty());

// ---- Layouts
static_assert(layout_of<Grid, Spec<>>.rank() == 0 && layout_of<Grid, Spec<>>.replicated());
static_assert(layout_of<Grid, Spec<_, _>>.replicated());
static_assert(!layout_of<Grid, Spec<_, _, partial("data")>>.replicated());
static_assert(layout_of<Grid, Spec<"data,expert", _, _>>.dimensions[0] == AxisList{0, 1});
static_assert(layout_of<Grid, Spec<"expert,data", _, _>>.dimensions[0] == AxisList{1, 0});
static_assert(layout_of<Grid, Spec<"expert", "data", _>>.dimension_of(0) == 1);
static_assert(layout_of<Grid, Spec<"expert", "data", _>>.dimension_of(1) == 0);
static_assert(layout_of<Grid, Spec<"expert", "data", _>>.dimension_of(2) == -1);
static_assert(layout_of<Grid, Spec<"expert", "data", partial("tensor")>>.split() == (data | expert));
static_assert(layout_of<Grid, Spec<"expert", "data", partial("tensor")>>.partial == tensor);
static_assert(layout_of<Grid, Spec<_, "data">> == layout_of<Grid, Spec<"", "data">>);
static_assert(layout_of<Grid, Spec<_, "data">> != layout_of<Grid, Spec<"data", _>>);

// ---- From a layout back to its spec
static_assert(
    std::is_same_v<spec_of<Grid, layout_of<Grid, Spec<"data,expert", _, "tensor">>>, Spec<"data,expert", _, "tensor">>);
static_assert(std::is_same_v<spec_of<Grid, layout_of<Grid, Spec<"expert, data", partial("tensor")>>>,
                             Spec<"expert,data", partial("tensor")>>);
static_assert(
    std::is_same_v<spec_of<Grid, layout_of<Grid, Spec<partial("tensor,data")>>>, Spec<partial("data,tensor")>>);
static_assert(std::is_same_v<spec_of<Grid, layout_of<Grid, Spec<>>>, Spec<>>);

// ---- Extents that the type fixes
using Fixed = Spec<extent("data,expert", 64), _, extent(512), partial("tensor")>;
static_assert(Fixed::rank == 3 && Fixed::static_extents() == Extents{64, dynamic_extent, 512});
static_assert(Spec<"data", _>::static_extents() == Extents{dynamic_extent, dynamic_extent});
static_assert(Spec<extent(0)>::static_extents() == Extents{0}, "an extent of 0 is one");
static_assert(layout_of<Grid, Fixed> == layout_of<Grid, Spec<"data,expert", _, _, partial("tensor")>>,
              "they say nothing of who holds what");
static_assert(std::is_same_v<spec_of<Grid, layout_of<Grid, Fixed>>, Spec<"data,expert", _, _, partial("tensor")>>);
static_assert(std::is_same_v<with_extents_of<Spec<_, "data", extent(7)>, Fixed>, Spec<extent(64), "data", extent(7)>>);
static_assert(std::is_same_v<with_extents_of<Spec<_, "data", partial("expert")>, Spec<extent(64), _>>,
                             Spec<extent(64), "data", partial("expert")>>);
static_assert(std::is_same_v<with_extents_of<Spec<_, "data">, Fixed>, Spec<_, "data">>,
              "specs of other ranks have nothing to do with each other");
static_assert(std::is_same_v<with_extents_of<Spec<_, "data">, Spec<_, _>>, Spec<_, "data">>);

template <class Spec>
using On = ShardedTensor<Grid, Spec>;
static_assert(On<Fixed>::static_extents == Extents{64, dynamic_extent, 512});
static_assert(std::is_constructible_v<On<Spec<extent(3), extent("data", 4)>>, Grid>, "nothing is left to give");
static_assert(!std::is_constructible_v<On<Spec<extent(3), _>>, Grid>);
static_assert(std::is_convertible_v<On<Spec<extent(3), "data">>, On<Spec<_, "data">>> &&
              std::is_convertible_v<On<Spec<_, "data">>, On<Spec<extent(3), "data">>>);

// ---- The mesh's type
static_assert(Grid::axis_count == 3);
static_assert(Grid::find("expert") == 1 && Grid::find("model") == -1);
static_assert(Grid::name(2) == "tensor");
static_assert(Grid::static_size(0) == dynamic_size && Grid::static_size(2) == 2);

// ---- Axis sets
static_assert((data | tensor).size() == 2 && (data | tensor).contains(tensor) && !(data | tensor).contains(expert));
static_assert(((data | tensor) - data) == tensor && ((data | tensor) & expert).empty());

}  // namespace
