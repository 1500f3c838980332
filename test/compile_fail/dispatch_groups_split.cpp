// SPDX-License-Identifier: Apache-2.0
// Tokens whose groups are split otherwise than those of the routing.
// expect-error: a tensor that meets gates or a routing has its groups G split over the axes named here
#include <gshard/nn/moe/dispatch.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"rows">, Axis<"model">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
using Routing = nn::Routing<T<"rows", _, _>>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t slots(T<"rows,model", _, _> const& x, Routing const& routing) { return nn::dispatch(x, routing).size(); }
#else
std::int64_t slots(T<"rows", _, _> const& x, Routing const& routing) { return nn::dispatch(x, routing).size(); }
#endif
