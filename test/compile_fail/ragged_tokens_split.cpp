// SPDX-License-Identifier: Apache-2.0
// Ragged rows of tokens that are not split over the axes of the experts.
// expect-error: ragged rows are of tokens, weights and routings whose groups G are split over the axes named here
#include <gshard/nn/moe/dropless.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Ragged = nn::RaggedRoutes<Grid, ByExpert, Kokkos::HostSpace>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t rows(T<"data", _, _> const& x, Ragged const& routes) { return nn::dispatch_ragged(x, routes).size(); }
#else
std::int64_t rows(T<"data,expert", _, _> const& x, Ragged const& routes) {
  return nn::dispatch_ragged(x, routes).size();
}
#endif
