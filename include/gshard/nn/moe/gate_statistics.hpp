// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/reduce/reduction.hpp>
#include <gshard/reduce/total.hpp>
#include <gshard/reshard/gather.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::nn {

/// How one layer's gate spread the tokens of all groups on all ranks.
struct GateStatistics {
  std::vector<std::int64_t> load{};  ///< (E): the tokens that each expert works on
  std::int64_t tokens = 0;           ///< without padding
  std::int64_t choices = 0;          ///< choices by them, or of them where experts choose, kept or not
  double balance_loss = 0;           ///< as the layer adds it, in the gate's scale; 0 of padding alone
  double z_loss = 0;                 ///< where the layer has one

  /// The share of the choices that came to nothing, by capacity or by chance; 0 of no choices.
  double dropped_share() const {
    std::int64_t kept = 0;
    for (std::int64_t each : load) kept += each;
    return choices == 0 ? 0. : 1 - static_cast<double>(kept) / static_cast<double>(choices);
  }
};

/// The statistics of a routing, the same on every rank. Communicates over the axes that split the groups: an all-reduce
/// of 8E bytes for the load, and one of a number for each of the rest. Throws StateError, MeshError or ExtentError
/// where the routing's tables do not belong together.
template <AnyTensor Gates, AnyGate Gate>
GateStatistics statistics(Routing<Gates, Gate> const& routing) {
  using Load = ShardedTensor<typename Gates::mesh_type, Spec<_>, std::int64_t, typename Gates::memory_space>;
  routing.shape("statistics");
  Load const load = sum<0>(eval(cast<std::int64_t>(routing.kept)));
  GateStatistics result;
  result.load = to_vector(load);
  result.tokens = sum(cast<std::int64_t>(routing.tokens));
  result.choices = sum(cast<std::int64_t>(routing.choices));
  result.balance_loss = static_cast<double>(to_vector(mean_over_groups(routing.balance_loss, routing))[0]) *
                        detail::balance_scale(routing);
  return result;
}

/// Returns the same, with the router z-loss that the layer computed.
template <AnyTensor Gates, AnyGate Gate, TensorOperand Loss>
GateStatistics statistics(Routing<Gates, Gate> const& routing, Loss&& z_loss) {
  using Value = detail::ValueTensor<Loss>;
  auto const& loss = gshard::detail::evaluated(std::forward<Loss>(z_loss));
  static_assert(Value::rank == 0 && Value::layout.partial.empty(),
                "gshard: the z-loss of a layer is a scalar, as that of nn::z_loss");
  gshard::detail::require_one_mesh("statistics",
                                   {{"z_loss", detail::value_of(loss)}, {"the routing's expert", routing.expert}});
  GateStatistics result = statistics(routing);
  result.z_loss = static_cast<double>(to_vector(detail::value_of(loss))[0]);
  return result;
}

}  // namespace gshard::nn
