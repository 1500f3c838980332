// SPDX-License-Identifier: Apache-2.0
// A view of a tensor that is gone at the end of the statement.
// expect-error: local.., flat.. or data.. is called on a temporary tensor
// expect-error: ElementsOfTemporary<
#include <gshard/expr.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"temporary">>;
using Row = ShardedTensor<Grid, Spec<"temporary">>;

#ifdef GSHARD_EXPECT_ERROR
auto first(Row const& x) { return eval(x + x).local()(0); }
#else
auto first(Row const& x) {
  auto const doubled = eval(x + x);
  return doubled.local()(0);
}
#endif
