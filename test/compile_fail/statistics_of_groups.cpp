// SPDX-License-Identifier: Apache-2.0
// Statistics with a z-loss of each group in place of that of the layer.
// expect-error: the z-loss of a layer is a scalar, as that of nn::z_loss
#include <gshard/nn/moe/gate_statistics.hpp>

using namespace gshard;
using Grid = Mesh<Axis<"data">, Axis<"expert">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;
using Routing = nn::Routing<T<"data", _, _>>;

#ifdef GSHARD_EXPECT_ERROR
double loss(Routing const& routing, T<"data"> const& z_losses) { return nn::statistics(routing, z_losses).z_loss; }
#else
double loss(Routing const& routing, T<> const& z_loss) { return nn::statistics(routing, z_loss).z_loss; }
#endif
