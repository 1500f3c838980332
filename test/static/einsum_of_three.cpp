// SPDX-License-Identifier: Apache-2.0
// einsum/einsum.hpp is enough for an einsum of any number of operands.
#include <gshard/einsum/einsum.hpp>

#include <type_traits>
#include <utility>

using namespace gshard;

using Grid = Mesh<Axis<"x">, Axis<"y">>;
template <AxisNames... Entries>
using On = ShardedTensor<Grid, Spec<Entries...>, double>;

template <class... Operands>
using Chain = decltype(einsum<"ab,bc,cd->ad">(std::declval<Operands>()...).eval());

static_assert(std::is_same_v<Chain<On<"x", _>, On<_, _>, On<_, "y">>, On<"x", "y">>);
static_assert(std::is_same_v<Chain<Var<On<"x", _>>, On<_, _>, Movable<On<_, _>>>, Var<On<"x", _>>>);
static_assert(plan_of<"ab,bc,cd->ad", On<"x", _>, On<_, _>, On<_, "y">>.orders.size() == 2);
