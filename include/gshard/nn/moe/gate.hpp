// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/nn/gating/gates.hpp>
#include <gshard/nn/kernels/gate.hpp>
#include <gshard/nn/kernels/gate_backward.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/random_stream.hpp>
#include <gshard/nn/zero_padding.hpp>
#include <gshard/reduce/reduction.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::error {

template <class GroupAxes>
struct OperandNotByGroup {
  static_assert(
      always_false<GroupAxes>,
      "gshard: a tensor that meets gates or a routing has its groups G split over the axes named here, all other dimensions whole, and no partial sum; reshard it so, on the same mesh");
};

template <class Gate>
struct RoutingHasNoSlots {
  static_assert(
      always_false<Gate>,
      "gshard: a gate that never drops has no slots to send tokens to; use dispatch_ragged, or the layer in the form DispatchForm::ragged, which is its default");
};

}  // namespace gshard::error

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

/// Does not compile unless `Given` is held as ByGroup<Gates, ..., Before, After>.
template <AnyTensor Given, AnyTensor Gates, int Before, int After>
consteval bool check_by_group() {
  using Wanted = ByGroup<Gates, typename Given::value_type, Before, After>;
  if constexpr (!std::is_same_v<typename Given::mesh_type, typename Wanted::mesh_type> ||
                !std::is_same_v<typename Given::memory_space, typename Wanted::memory_space> ||
                !(Given::layout == Wanted::layout))
    using Refused [[maybe_unused]] =
        decltype(error::OperandNotByGroup<gshard::detail::NameOf<gshard::detail::names_of<typename Gates::mesh_type>(
                     Gates::layout.dimensions[0])>>{});
  return true;
}

/// Does not compile where the gate never drops.
template <AnyGate Gate>
consteval bool check_slots() {
  if constexpr (Gate::drop == Drop::never) using Refused [[maybe_unused]] = decltype(error::RoutingHasNoSlots<Gate>{});
  return true;
}

/// The extents of a routing.
struct RoutingShape {
  std::int64_t groups;    ///< G
  std::int64_t tokens;    ///< S
  std::int64_t experts;   ///< E
  std::int64_t capacity;  ///< C
  std::int64_t choices;   ///< K
};

struct RoutingTable {
  gshard::detail::Operand operand;
  Extents wanted;
};

/// Requires tables on one mesh, of the wanted extents.
inline void require_tables(std::string_view operation, std::initializer_list<RoutingTable> tables) {
  for (RoutingTable const& table : tables) {
    gshard::detail::require_one_mesh(operation, {tables.begin()->operand, table.operand});
    gshard::detail::require_extents(operation, table.operand, table.wanted, "as of the routing's other tables");
  }
}

}  // namespace detail

/// Where a gate sends the tokens of gates (G, S, E), G split over the axes of the tokens, K = Gate::choices. For
/// Top2Gate, what Algorithm 1 of the paper leaves. Choices are constants for gradients. The tables belong together;
/// where a caller writes experts, slots or tokens that do not exist into one, operations pass over these as over
/// dropped choices.
template <AnyTensor Gates, AnyGate Gate = Top2Gate>
class Routing {
  using T = typename Gates::value_type;
  using Space = typename Gates::memory_space;
  template <class Element, int Before, int After>
  using Tensor = detail::ByGroup<Gates, Element, Before, After>;

  template <AnyTensor Mask>
  static consteval bool check_types() {
    static_assert(Gates::rank == 3 && Mask::rank == 2, "gshard: a gate takes gates (G, S, E) and a mask (G, S)");
    static_assert(std::floating_point<T>,
                  "gshard: a gate computes in float or double; convert its logits, as in cast<float>(x)");
    static_assert(std::is_same_v<typename Mask::value_type, int>,
                  "gshard: the mask of real tokens holds int, 1 for words and 0 for padding");
    static_assert(Gates::layout.dimensions[1].empty() && Gates::layout.dimensions[2].empty(),
                  "gshard: a gate works on whole groups and all experts; reshard the gates so that S and E are `_`");
    static_assert(
        Gates::layout.dimensions[0] == Mask::layout.dimensions[0] && Mask::layout.dimensions[1].empty(),
        "gshard: a gate looks up which tokens of its own groups are real; reshard the mask so that G is split as that of the gates, and S is `_`");
    return detail::check_by_group<Gates, Gates, 0, 2>() && detail::check_by_group<Mask, Gates, 0, 1>();
  }

 public:
  using gate_type = Gate;
  static constexpr int choices_of_token = Gate::choices;  ///< K
  static constexpr bool has_capacity = Gate::drop != Drop::never;

  std::int64_t capacity;         ///< C; 0 for a gate that never drops
  Tensor<int, 0, 1> token_mask;  ///< (G, S): 0 for padding
  /// (G, S, K): the choices of each token; -1 where there is none: for padding, beyond the last expert, and where no
  /// expert chose the token
  Tensor<int, 0, 2> expert;
  /// (G, S, K): the choice's place among the expert's slots for the group; -1 where there is no choice, or it is
  /// dropped
  Tensor<int, 0, 2> slot;
  Tensor<T, 0, 2> weight;           ///< (G, S, K): 0 where there is no slot
  Tensor<int, 1, 1> token_of_slot;  ///< (E, G, C): the token in each slot; -1 for an empty slot
  Tensor<int, 0, 1> first_choices;  ///< (G, E): tokens that chose the expert first
  Tensor<int, 0, 1> choices;        ///< (G, E): all choices of the expert, dropped ones included
  Tensor<int, 0, 1> kept;           ///< (G, E): those that have a slot: without capacity, slots 0 .. kept - 1
  Tensor<int, 0, 0> tokens;         ///< (G): tokens without padding
  Tensor<T, 0, 1> mean_gates;       ///< (G, E): the mean gate over the tokens; 0 for a group of padding alone
  /// (G): (1/E) sum_e (c_e/S) m_e, S the tokens of the group without padding (Algorithm 1, line 13); 0 for a group of
  /// padding alone
  Tensor<T, 0, 0> balance_loss;

  /// Runs the gate. `mask` (G, S) is 0 for padding, whose gates are not read. Without random numbers it infers: chance
  /// drops nothing, within the capacity of inference. Local: groups are independent.
  /// An expert is masked by logits of -inf, that is by gates of 0: a choice whose gate is 0 is dropped, and an expert
  /// that chooses takes no token whose gate is 0. A token whose gates are NaN is sent to the first expert with weight
  /// NaN. Throws OptionError where an option is not allowed; StateError, MeshError or ExtentError where the mask does
  /// not belong to the gates; ExtentError where there is no expert, or a group has more than 2^31 - 1 choices.
  template <AnyTensor Mask, bool = check_types<Mask>()>
  Routing(Gates const& gates, Mask const& mask, GateOptions const& options, std::optional<RandomStream> random)
      : capacity(checked_capacity(gates, mask, options, random.has_value())),
        token_mask(mask),
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
    auto const [seed, stream] = detail::fold_in(random.value_or(RandomStream{}), detail::RandomPurpose::routing);
    detail::GateChance<T, Space> const chance{
        random.has_value(), seed, stream, static_cast<std::uint64_t>(gates.range(0).begin * gates.extent(1)), {}};
    detail::record_kernel("gate", gates, expert, slot, weight, token_of_slot);
    detail::run_gate<Gate, T, Space>(gates.local(), token_mask.local(), chance, routes(), counts());
  }

  /// The extents of the tables. Throws StateError, MeshError or ExtentError, naming `operation`, where a caller has
  /// replaced a table by one that does not belong to the others.
  detail::RoutingShape shape(std::string_view operation) const {
    gshard::detail::require_set(operation,
                                {{"the routing's expert", expert}, {"the routing's token_of_slot", token_of_slot}});
    std::int64_t const groups = expert.extent(0), size = expert.extent(1), experts = token_of_slot.extent(0);
    Extents const by_choice{groups, size, Gate::choices}, by_expert{groups, experts}, by_group{groups};
    detail::require_tables(operation, {{{"the routing's expert", expert}, by_choice},
                                       {{"the routing's slot", slot}, by_choice},
                                       {{"the routing's weight", weight}, by_choice},
                                       {{"the routing's token_of_slot", token_of_slot}, {experts, groups, capacity}},
                                       {{"the routing's token_mask", token_mask}, {groups, size}},
                                       {{"the routing's first_choices", first_choices}, by_expert},
                                       {{"the routing's choices", choices}, by_expert},
                                       {{"the routing's kept", kept}, by_expert},
                                       {{"the routing's tokens", tokens}, by_group},
                                       {{"the routing's mean_gates", mean_gates}, by_expert},
                                       {{"the routing's balance_loss", balance_loss}, by_group}});
    return {groups, size, experts, capacity, Gate::choices};
  }

  /// The same as local views, for kernels.
  detail::Routes<T, Space> routes() const {
    return {expert.local(), slot.local(), weight.local(), token_of_slot.local()};
  }
  detail::GateCounts<T, Space> counts() const {
    return {first_choices.local(), choices.local(),    kept.local(),
            tokens.local(),        mean_gates.local(), balance_loss.local()};
  }

 private:
  /// Checks the values of all inputs, and returns the capacity.
  template <AnyTensor Mask>
  static std::int64_t checked_capacity(Gates const& gates, Mask const& mask, GateOptions const& options,
                                       bool training) {
    gshard::detail::require_one_mesh("gate", {{"gates", gates}, {"mask", mask}});
    gshard::detail::require_extents("gate", {"mask", mask}, {gates.extent(0), gates.extent(1)},
                                    "one number for each token (G, S) of the gates");
    if (gates.extent(2) < 1 || gates.extent(2) > max_capacity)
      throw ExtentError(gshard::detail::concat("gate: ", text_of(gshard::detail::Operand("gates", gates)),
                                               " are of no expert; give (G, S, E) with E from 1 to 2147483647"));
    if (gates.extent(1) > max_capacity / Gate::choices)
      throw ExtentError(gshard::detail::concat("gate: ", text_of(gshard::detail::Operand("gates", gates)),
                                               " have groups of more than 2147483647 choices, ", Gate::choices,
                                               " for each token; give smaller groups (token_groups)"));
    return options.capacity<Gate>(gates.extent(1), gates.extent(2), training);
  }
};

namespace detail {

/// Does not compile unless `Values` may be gates that a routing of `Gates` was made from.
template <AnyTensor Values, AnyTensor Gates>
consteval bool check_gates() {
  static_assert(std::is_same_v<typename Values::value_type, typename Gates::value_type>,
                "gshard: the gates beside a routing are those that it was made from, of the same element type");
  return check_by_group<Values, Gates, 0, 2>();
}

/// Requires that `gates` may be those that the routing was made from.
template <AnyTensor Gates, AnyGate Gate>
void require_gates_of(std::string_view operation, gshard::detail::Operand const& gates,
                      Routing<Gates, Gate> const& routing) {
  RoutingShape const shape = routing.shape(operation);
  gshard::detail::require_one_mesh(operation, {gates, {"the routing's expert", routing.expert}});
  gshard::detail::require_extents(operation, gates, {shape.groups, shape.tokens, shape.experts},
                                  "as of the gates that the routing was made from");
}

/// Weights of a routing, as an operation of the gates with a gradient.
template <AnyTensor Gates, AnyGate Gate>
struct RouteWeights {
  Routing<Gates, Gate> routing;

  template <int>
  static constexpr Reads reads = Reads::operand(0);

  template <AnyTensor X>
  auto forward(X const& gates) const {
    static_assert(check_gates<X, Gates>());
    require_gates_of("route_weights", {"gates", gates}, routing);
    return routing.weight;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [gates] = saved.operands;
    auto const& [dgates] = gradients;
    auto const gates_gradient = empty_like(gates);
    record_kernel("gate gradient", gates_gradient, gates);
    gate_backward<Gate, typename Gates::value_type, typename Gates::memory_space>(
        gates.local(), routing.token_mask.local(), routing.routes(), routing.counts(), gradient.local(), {},
        gates_gradient.local());
    dgates.add(gates_gradient);
  }
};

/// Balance losses of a routing, as an operation of the gates with a gradient.
template <AnyTensor Gates, AnyGate Gate>
struct BalanceLosses {
  Routing<Gates, Gate> routing;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor X>
  auto forward(X const& gates) const {
    static_assert(check_gates<X, Gates>());
    require_gates_of("balance_losses", {"gates", gates}, routing);
    return routing.balance_loss;
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    auto const& [gates] = saved.operands;
    auto const& [dgates] = gradients;
    typename std::remove_cvref_t<decltype(dgates)>::tensor_type const gates_gradient(uninitialized, gates.mesh(),
                                                                                     gates.extents());
    // The kernel reads gates for the gradient of weights only; here they state the extents, in the ledger too.
    auto const& extents_of_gates = gates_gradient;
    record_kernel("gate gradient", gates_gradient, extents_of_gates);
    gate_backward<Gate, typename Gates::value_type, typename Gates::memory_space>(
        extents_of_gates.local(), routing.token_mask.local(), routing.routes(), routing.counts(), {}, gradient.local(),
        gates_gradient.local());
    dgates.add(gates_gradient);
  }
};

}  // namespace detail

/// Returns the weights (G, S, K) of a routing, recorded if the gates that it was made from are. Does not read the
/// gradients of padding and of dropped choices. Local.
/// Throws StateError, MeshError or ExtentError if the gates are not those of the routing.
template <TensorOperand X, AnyTensor Gates, AnyGate Gate>
auto route_weights(X&& gates, Routing<Gates, Gate> const& routing) {
  return Differentiable(detail::RouteWeights<Gates, Gate>{routing})(std::forward<X>(gates));
}

/// Returns the balance losses (G) of a routing, (1/E) sum_e (c_e/S) m_e, recorded if the gates are: the gradient flows
/// through the mean gates m_e alone (paper 2.2). Local. Throws as route_weights.
template <TensorOperand X, AnyTensor Gates, AnyGate Gate>
auto balance_losses(X&& gates, Routing<Gates, Gate> const& routing) {
  return Differentiable(detail::BalanceLosses<Gates, Gate>{routing})(std::forward<X>(gates));
}

/// Returns the mean of losses (G) over the groups that have tokens, a scalar; 0 if none has. Does not read losses of
/// groups of padding alone. Communication: two all-reduces of one number over the axes that split the groups.
/// Throws StateError, MeshError or ExtentError if the losses are not one for each group.
template <TensorOperand X, AnyTensor Gates, AnyGate Gate>
auto mean_over_groups(X&& x, Routing<Gates, Gate> const& routing) {
  using Values = detail::ValueTensor<X>;
  auto const& losses = gshard::detail::evaluated(std::forward<X>(x));
  static_assert(detail::check_by_group<Values, Gates, 0, 0>());
  detail::RoutingShape const shape = routing.shape("mean_over_groups");
  gshard::detail::require_one_mesh("mean_over_groups",
                                   {{"losses", detail::value_of(losses)}, {"the routing's expert", routing.expert}});
  gshard::detail::require_extents("mean_over_groups", {"losses", detail::value_of(losses)}, {shape.groups},
                                  "one loss for each group of the routing");
  // Counted in double: float holds no odd number above 2^24.
  auto const groups = shard<Spec<>>(sum<0>(cast<double>(routing.tokens > 0)));
  auto const total = shard<Spec<>>(sum<0>(zero_padding(losses, routing.tokens)));
  return eval(total / eval(cast<typename Values::value_type>(maximum(groups, 1))));
}

namespace detail {

/// What the mean of balance_losses is multiplied by.
template <AnyTensor Gates, AnyGate Gate>
double balance_scale(Routing<Gates, Gate> const& routing) {
  double const experts = static_cast<double>(routing.token_of_slot.extent(0));
  return Gate::balance_scale == BalanceScale::paper ? 1. : experts * experts;
}

}  // namespace detail

/// Returns the balance loss of a routing, a scalar, recorded if the gates are: the mean over its groups, in the gate's
/// scale (with Top2Gate, 1 when even and E when one expert gets all). Communicates as mean_over_groups.
template <TensorOperand X, AnyTensor Gates, AnyGate Gate>
auto balance_loss(X&& gates, Routing<Gates, Gate> const& routing) {
  return eval(mean_over_groups(balance_losses(std::forward<X>(gates), routing), routing) *
              detail::balance_scale(routing));
}

}  // namespace gshard::nn
