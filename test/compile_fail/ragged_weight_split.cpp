// SPDX-License-Identifier: Apache-2.0
// Weights of all experts on every rank, for rows that are at their own experts.
// expect-error: ragged rows \(R, N\), as dispatch_ragged gives them, have R split over the axes named here
#include <gshard/nn/moe/dropless.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
struct ByExpert : nn::Parallelism {
  static constexpr AxisNames tokens = "data,expert", experts = "expert";
};
using Ragged = nn::RaggedRoutes<Grid, ByExpert, Kokkos::HostSpace>;
using ByRows = nn::ByRaggedRows<Grid, ByExpert, Kokkos::HostSpace>;

#ifdef GSHARD_EXPECT_ERROR
std::int64_t products(T<"data,expert", _> const& rows, T<_, _, _> const& weight, ByRows const& by_rows) {
  return by_rows.times(rows, weight).size();
}
#else
std::int64_t products(T<"data,expert", _> const& rows, T<"expert", _, _> const& weight, ByRows const& by_rows) {
  return by_rows.times(rows, weight).size();
}
#endif
