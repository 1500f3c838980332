// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include <gshard/nn/kernels/capacity.hpp>
#include <gshard/nn/kernels/gate.hpp>
#include <gshard/nn/kernels/gate_backward.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/random_stream.hpp>

namespace gshard::nn {

/// How a gate chooses.
struct GateOptions {
  /// Slots of each expert for each group: capacity_factor * S / E, rounded up (paper: 2S/E), at least minimum_capacity.
  double capacity_factor = 2;
  std::int64_t minimum_capacity = 1;
  /// Whether a second choice is sent always, or with probability twice its weight (paper 2.2).
  SecondChoicePolicy second_choice = SecondChoicePolicy::random;
  /// The capacity factor of inference, where groups may be small and no random numbers are drawn.
  double inference_capacity_factor = 4;
};

/// Where the tokens of gates (G, S, E) go, G split over the axes of the tokens: what Algorithm 1 of the paper leaves. Choices are constants for gradients.
template <AnyTensor Gates>
class Routing {
  static constexpr Layout groups = [] {
    Layout layout;
    layout.dimensions.push_back(Gates::layout.dimensions[0]);
    return layout;
  }();

  static constexpr Layout with_dimensions(int before, int after) {
    Layout layout;
    for (int d = 0; d < before; ++d) layout.dimensions.push_back({});
    layout.dimensions.push_back(Gates::layout.dimensions[0]);
    for (int d = 0; d < after; ++d) layout.dimensions.push_back({});
    return layout;
  }

  template <class T, Layout Value>
  using Tensor = ShardedTensor<typename Gates::mesh_type, spec_of<typename Gates::mesh_type, Value>, T, typename Gates::memory_space>;
  using T = typename Gates::value_type;
  using Space = typename Gates::memory_space;

 public:
  using gates_type = Gates;
  using PerGroup = Tensor<T, groups>;                          ///< (G)
  using PerExpert = Tensor<T, with_dimensions(0, 1)>;          ///< (G, E)
  using Counts = Tensor<int, with_dimensions(0, 1)>;           ///< (G, E)
  using Weights = Tensor<T, with_dimensions(0, 2)>;            ///< (G, S, 2)
  using Choices = Tensor<int, with_dimensions(0, 2)>;          ///< (G, S, 2)
  using Slots = Tensor<int, with_dimensions(1, 1)>;            ///< (E, G, C)

  std::int64_t capacity;
  Choices expert;        ///< first and second choice of each token; -1 for padding
  Choices slot;          ///< its place among the expert's slots; -1 when dropped
  Weights weight;        ///< normalised over the two choices; 0 when dropped
  Slots token_of_slot;   ///< the token in each slot; -1 when empty
  Counts first_choices;  ///< tokens that chose the expert first
  Counts choices;        ///< all choices of the expert, dropped ones included
  PerExpert mean_gates;  ///< the mean gate over the real tokens
  PerGroup balance_loss; ///< (1/E) sum_e (c_e/S) m_e of each group (Algorithm 1, line 13)

  /// Runs the gate. `real` (G, S) is 0 for padding. Without random numbers it infers: second choices always go, within the capacity of inference. Local:
  /// groups are independent.
  template <AnyTensor Real>
  Routing(Gates const& gates, Real const& real, GateOptions const& options, std::optional<RandomStream> random)
      : capacity(expert_capacity(gates.extent(1), gates.extent(2), random ? options.capacity_factor : options.inference_capacity_factor,
                                 options.minimum_capacity)),
        expert(made<Choices>(gates, {gates.extent(0), gates.extent(1), 2})),
        slot(made<Choices>(gates, {gates.extent(0), gates.extent(1), 2})),
        weight(made<Weights>(gates, {gates.extent(0), gates.extent(1), 2})),
        token_of_slot(made<Slots>(gates, {gates.extent(2), gates.extent(0), capacity})),
        first_choices(made<Counts>(gates, {gates.extent(0), gates.extent(2)})),
        choices(made<Counts>(gates, {gates.extent(0), gates.extent(2)})),
        mean_gates(made<PerExpert>(gates, {gates.extent(0), gates.extent(2)})),
        balance_loss(made<PerGroup>(gates, {gates.extent(0)})) {
    static_assert(Gates::rank == 3 && Real::rank == 2, "gshard: a gate takes gates (G, S, E) and a mask (G, S)");
    static_assert(std::is_same_v<typename Real::value_type, int>, "gshard: the mask of real tokens holds int, 1 for words and 0 for padding");
    static_assert(Gates::layout.dimensions[1].empty() && Gates::layout.dimensions[2].empty(),
                  "gshard: a gate works on whole groups and all experts; reshard the gates so that S and E are `_`");
    auto const [seed, stream] = random.value_or(RandomStream{});
    detail::SecondChoice<T, Space> const second{random ? options.second_choice : SecondChoicePolicy::always, seed, stream,
                                                static_cast<std::uint64_t>(gates.range(0).begin * gates.extent(1)), {}};
    detail::record_kernel("gate", gates, expert, slot, weight, token_of_slot);
    detail::top2_gate<T, Space>(gates.local(), real.local(), second, {expert.local(), slot.local(), weight.local(), token_of_slot.local()},
                                {first_choices.local(), choices.local(), mean_gates.local(), balance_loss.local()});
  }

 private:
  template <AnyTensor Made>
  static Made made(Gates const& gates, Extents const& extents) {
    return Made(uninitialized, gates.mesh(), extents);
  }
};

/// The weights (G, S, 2) of a routing, recorded beside the gates they were computed from.
template <class X, AnyTensor Gates>
auto route_weights(X const& gates, Routing<Gates> const& routing) {
  using T = typename Gates::value_type;
  using Space = typename Gates::memory_space;
  return detail::recorded_beside(gates, routing.weight, [slot = detail::slot_of(gates), values = detail::value_of(gates), routing](auto const& gradient) {
    Gates const of_gates = detail::unset_like(values);
    detail::record_kernel("gate gradient", of_gates, values);
    detail::top2_gate_backward<T, Space>(values.local(), routing.expert.local(), routing.slot.local(), routing.first_choices.local(), gradient.local(), {},
                                         of_gates.local());
    slot.add(of_gates);
  });
}

/// The balance loss (G) of a routing, recorded beside the gates: the gradient flows through the mean gates alone (paper 2.2).
template <class X, AnyTensor Gates>
auto balance_losses(X const& gates, Routing<Gates> const& routing) {
  using T = typename Gates::value_type;
  using Space = typename Gates::memory_space;
  return detail::recorded_beside(gates, routing.balance_loss, [slot = detail::slot_of(gates), values = detail::value_of(gates), routing](auto const& gradient) {
    Gates const of_gates = detail::unset_like(values);
    typename Routing<Gates>::Weights const no_gradient(values.mesh(), routing.weight.extents());
    detail::record_kernel("gate gradient", of_gates, values);
    detail::top2_gate_backward<T, Space>(values.local(), routing.expert.local(), routing.slot.local(), routing.first_choices.local(), no_gradient.local(),
                                         gradient.local(), of_gates.local());
    slot.add(of_gates);
  });
}

}  // namespace gshard::nn
