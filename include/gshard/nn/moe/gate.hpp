// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/reduce.hpp>
#include <gshard/nn/kernels/gate.hpp>
#include <gshard/nn/kernels/gate_backward.hpp>
#include <gshard/nn/moe/gates.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/random_stream.hpp>

namespace gshard::nn {

namespace detail {

/// The layout of what belongs to the groups of `Gates`: `before` whole dimensions, the groups, `after` whole
/// dimensions.
template <AnyTensor Gates>
constexpr Layout layout_by_group(int before, int after) {
  Layout layout;
  for (int d = 0; d < before; ++d) layout.dimensions.push_back({});
  layout.dimensions.push_back(Gates::layout.dimensions[0]);
  for (int d = 0; d < after; ++d) layout.dimensions.push_back({});
  return layout;
}

template <AnyTensor Gates, class T, int Before, int After>
using ByGroup =
    ShardedTensor<typename Gates::mesh_type, spec_of<typename Gates::mesh_type, layout_by_group<Gates>(Before, After)>,
                  T, typename Gates::memory_space>;

}  // namespace detail

/// Where a gate sends the tokens of gates (G, S, E), G split over the axes of the tokens, K = Gate::choices. For
/// Top2Gate, what Algorithm 1 of the paper leaves. Choices are constants for gradients.
template <AnyTensor Gates, AnyGate Gate = Top2Gate>
class Routing {
  using T = typename Gates::value_type;
  using Space = typename Gates::memory_space;
  template <class Element, int Before, int After>
  using Tensor = detail::ByGroup<Gates, Element, Before, After>;

 public:
  using gate_type = Gate;
  static constexpr int choices_of_token = Gate::choices;  ///< K
  static constexpr bool has_capacity = Gate::drop != Drop::never;

  std::int64_t capacity;            ///< C; 0 for a gate that never drops
  Tensor<int, 0, 2> expert;         ///< (G, S, K): the choices of each token; -1 for padding
  Tensor<int, 0, 2> slot;           ///< (G, S, K): its place among the expert's slots for the group; -1 when dropped
  Tensor<T, 0, 2> weight;           ///< (G, S, K): 0 when dropped
  Tensor<int, 1, 1> token_of_slot;  ///< (E, G, C): the token in each slot; -1 when empty
  Tensor<int, 0, 1> first_choices;  ///< (G, E): tokens that chose the expert first
  Tensor<int, 0, 1> choices;        ///< (G, E): all choices of the expert, dropped ones included
  Tensor<int, 0, 1> kept;           ///< (G, E): those that have a slot: without capacity, slots 0 .. kept - 1
  Tensor<int, 0, 0> tokens;         ///< (G): real tokens
  Tensor<T, 0, 1> mean_gates;       ///< (G, E): the mean gate over the real tokens
  /// (G): (1/E) sum_e (c_e/S) m_e, S the real tokens of the group (Algorithm 1, line 13)
  Tensor<T, 0, 0> balance_loss;

  /// Runs the gate. `real` (G, S) is 0 for padding. Without random numbers it infers: chance drops nothing, within the
  /// capacity of inference. Local: groups are independent. Throws ExtentError where the mask has other groups or tokens
  /// than the gates.
  template <AnyTensor Real>
  Routing(Gates const& gates, Real const& real, GateOptions const& options, std::optional<RandomStream> random)
      : capacity(options.capacity<Gate>(gates.extent(1), gates.extent(2), random.has_value())),
        expert(uninitialized, gates.mesh(), {gates.extent(0), gates.extent(1), Gate::choices}),
        slot(uninitialized, gates.mesh(), {gates.extent(0), gates.extent(1), Gate::choices}),
        weight(uninitialized, gates.mesh(), {gates.extent(0), gates.extent(1), Gate::choices}),
        token_of_slot(uninitialized, gates.mesh(), {gates.extent(2), gates.extent(0), capacity}),
        first_choices(uninitialized, gates.mesh(), {gates.extent(0), gates.extent(2)}),
        choices(uninitialized, gates.mesh(), {gates.extent(0), gates.extent(2)}),
        kept(uninitialized, gates.mesh(), {gates.extent(0), gates.extent(2)}),
        tokens(uninitialized, gates.mesh(), {gates.extent(0)}),
        mean_gates(uninitialized, gates.mesh(), {gates.extent(0), gates.extent(2)}),
        balance_loss(uninitialized, gates.mesh(), {gates.extent(0)}) {
    static_assert(Gates::rank == 3 && Real::rank == 2, "gshard: a gate takes gates (G, S, E) and a mask (G, S)");
    static_assert(std::floating_point<T>,
                  "gshard: a gate computes in float or double; convert its logits, as in convert<float>(x)");
    static_assert(std::is_same_v<typename Real::value_type, int>,
                  "gshard: the mask of real tokens holds int, 1 for words and 0 for padding");
    static_assert(Gates::layout.dimensions[1].empty() && Gates::layout.dimensions[2].empty(),
                  "gshard: a gate works on whole groups and all experts; reshard the gates so that S and E are `_`");
    static_assert(
        Gates::layout.dimensions[0] == Real::layout.dimensions[0] && Real::layout.dimensions[1].empty(),
        "gshard: a gate looks up which tokens of its own groups are real; reshard the mask so that G is split as that of the gates, and S is `_`");
    if (real.extent(0) != gates.extent(0) || real.extent(1) != gates.extent(1))
      throw ExtentError(gshard::detail::text(
          "gate: the mask '", real.name(), "' has extents ", gshard::detail::text_of(real.extents()), " beside gates ",
          gshard::detail::text_of(gates.extents()), "; give one number for each token (G, S)"));
    auto const [seed, stream] = detail::fold_in(random.value_or(RandomStream{}), detail::RandomPurpose::routing);
    detail::GateChance<T, Space> const chance{
        random.has_value(), seed, stream, static_cast<std::uint64_t>(gates.range(0).begin * gates.extent(1)), {}};
    detail::record_kernel("gate", gates, expert, slot, weight, token_of_slot);
    detail::run_gate<Gate, T, Space>(gates.local(), real.local(), chance, routes(), counts());
  }

  /// The same as local views, for kernels.
  detail::Routes<T, Space> routes() const {
    return {expert.local(), slot.local(), weight.local(), token_of_slot.local()};
  }
  detail::GateCounts<T, Space> counts() const {
    return {first_choices.local(), choices.local(),    kept.local(),
            tokens.local(),        mean_gates.local(), balance_loss.local()};
  }
};

/// The weights (G, S, K) of a routing, recorded beside the gates they were computed from.
template <class X, AnyTensor Gates, AnyGate Gate>
auto route_weights(X const& gates, Routing<Gates, Gate> const& routing) {
  using T = typename Gates::value_type;
  using Space = typename Gates::memory_space;
  return detail::recorded_beside(
      gates, routing.weight,
      [slot = detail::slot_of(gates), values = detail::value_of(gates), routing](auto const& gradient) {
        Gates const of_gates = detail::unset_like(values);
        detail::record_kernel("gate gradient", of_gates, values);
        detail::gate_backward<Gate, T, Space>(values.local(), routing.routes(), routing.counts(), gradient.local(), {},
                                              of_gates.local());
        slot.add(of_gates);
      });
}

/// The balance loss (G) of a routing, (1/E) sum_e (c_e/S) m_e, recorded beside the gates: the gradient flows through
/// the mean gates alone (paper 2.2).
template <class X, AnyTensor Gates, AnyGate Gate>
auto balance_losses(X const& gates, Routing<Gates, Gate> const& routing) {
  using T = typename Gates::value_type;
  using Space = typename Gates::memory_space;
  return detail::recorded_beside(
      gates, routing.balance_loss,
      [slot = detail::slot_of(gates), values = detail::value_of(gates), routing](auto const& gradient) {
        Gates const of_gates = detail::unset_like(values);
        detail::record_kernel("gate gradient", of_gates, values);
        detail::gate_backward<Gate, T, Space>(values.local(), routing.routes(), routing.counts(), {}, gradient.local(),
                                              of_gates.local());
        slot.add(of_gates);
      });
}

namespace functions {

/// 1 for a group that has tokens.
template <class T>
struct HasTokens : gshard::functions::NotLinear {
  using stored_type = T;
  KOKKOS_FUNCTION T operator()(int tokens) const { return tokens > 0 ? T(1) : T(0); }
};

struct AtLeastOne : gshard::functions::NotLinear {
  template <class T>
  KOKKOS_FUNCTION T operator()(T x) const {
    return x > T(1) ? x : T(1);
  }
  template <int, class T>
  KOKKOS_FUNCTION static T derivative(T x, T) {
    return x > T(1) ? T(1) : T(0);
  }
};

}  // namespace functions

/// The mean of losses (G) over the groups that have tokens: groups of padding alone count for nothing, and where there
/// are no others it is 0. A scalar; two all-reduces of one number over the axes that split the groups.
template <class Losses, AnyTensor Gates, AnyGate Gate>
auto mean_over_groups(Losses const& losses, Routing<Gates, Gate> const& routing) {
  using T = typename Gates::value_type;
  auto const groups = sum<0>(eval(map(functions::HasTokens<T>{}, routing.tokens))).template eval_as<Spec<>>();
  auto const total = sum<0>(losses).template eval_as<Spec<>>();
  return eval(total / eval(map(functions::AtLeastOne{}, groups)));
}

namespace detail {

/// What the mean of balance_losses is multiplied by.
template <AnyTensor Gates, AnyGate Gate>
double balance_scale(Routing<Gates, Gate> const& routing) {
  double const experts = static_cast<double>(routing.token_of_slot.extent(0));
  return Gate::balance_scale == BalanceScale::paper ? 1. : experts * experts;
}

}  // namespace detail

/// The balance loss of a routing: the mean over its groups, in the gate's scale (with Top2Gate, 1 when even and E when
/// one expert gets all), recorded beside the gates. A scalar; communicates as mean_over_groups.
template <class X, AnyTensor Gates, AnyGate Gate>
auto balance_loss(X const& gates, Routing<Gates, Gate> const& routing) {
  return eval(mean_over_groups(balance_losses(gates, routing), routing) * detail::balance_scale(routing));
}

}  // namespace gshard::nn
