// SPDX-License-Identifier: Apache-2.0
// Ids are whole numbers, and not parts of a sum.
// expect-error: ids and indices are a tensor of int or std::int64_t that is no unreduced sum
#include <gshard/index.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <class Id, AxisNames... Entries>
using Ids = ShardedTensor<Grid, Spec<Entries...>, Id>;

#ifdef GSHARD_EXPECT_ERROR
void check(Ids<int, _, partial("data")> const& ids) { gshard::detail::require_ids("lookup", "ids", ids, 8); }
#else
void check(Ids<std::int64_t, "data", _> const& ids) { gshard::detail::require_ids("lookup", "ids", ids, 8); }
#endif
