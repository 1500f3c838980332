// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/einsum/chain_plan.hpp>
#include <gshard/einsum/operation.hpp>

// Einsums of more than two operands: pairwise contractions in the order with the fewest multiplications.

namespace gshard::detail {

/// Orders of contraction of an einsum of these operands.
template <FixedString Text, class... Operands>
inline constexpr OrderSearch order_search{subscripts_for<Text, OperandTensor<Operands>...>};

/// Returns the first error class for the types of a chain; void if none.
template <FixedString Text, class Result, class... Operands>
constexpr auto chain_mistake() {
  using Types = EinsumTypesMistake<Text, DeclaredTensor<Result>, OperandTensor<Operands>...>;
  if constexpr (!std::is_void_v<Types>) return std::type_identity<Types>{};
  else if constexpr (order_search<Text, Operands...>.orders.empty())
    return std::type_identity<error::EinsumProductTooLarge<TextLetters<Text>>>{};
  else return std::type_identity<void>{};
}

/// Returns the orders among which run-time extents choose.
template <FixedString Text, class Result, class... Operands>
consteval auto orders_of_chain() {
  ChainFacts facts;
  facts.last = facts_on<typename std::tuple_element_t<0, std::tuple<OperandTensor<Operands>...>>::mesh_type>({});
  if constexpr (!std::is_void_v<Result>) facts.last.declared = OperandTensor<Result>::layout;
  facts.last.result_handling = result_handling_of<Result>;
  (facts.operands.push_back(OperandTensor<Operands>::layout), ...);
  (facts.handling.push_back(handling_of<Operands>), ...);
  return cheapest_of_fixed(possible_orders(order_search<Text, Operands...>, facts), order_search<Text, Operands...>,
                           subscripts_for<Text, OperandTensor<Operands>...>,
                           extents_fixed_by<Text, OperandTensor<Operands>...>());
}

/// Types and constants of a chain of plain operands. Precondition: chain_mistake is void.
template <FixedString Text, class Result, class... Given>
struct ChainTypes {
  using Operands = std::tuple<Given...>;
  using First = std::tuple_element_t<0, std::tuple<OperandTensor<Given>...>>;
  static constexpr int steps = static_cast<int>(sizeof...(Given)) - 1;
  static constexpr Subscripts subscripts = subscripts_for<Text, OperandTensor<Given>...>;
  static constexpr OrderSearch const& search = order_search<Text, Given...>;
  static constexpr auto orders = orders_of_chain<Text, Result, Given...>();
  static constexpr Handling result_handling = result_handling_of<Result>;
};

/// Moves out of the operands those that remain after a step, and returns them followed by its product.
template <class Step, class Product, class... Operands>
auto operands_after(std::tuple<Operands...>&& operands, Product&& product) {
  return [&]<std::size_t... Rest>(std::index_sequence<Rest...>) {
    return std::make_tuple(
        std::move(std::get<static_cast<std::size_t>(Step::pair.position_of_rest(static_cast<int>(Rest)))>(operands))...,
        std::forward<Product>(product));
  }(std::make_index_sequence<sizeof...(Operands) - 2>{});
}

template <class Chain, int Order, int Position>
struct ChainPair;

/// Tuple of the operand types before a step.
template <class Chain, int Order, int Position>
struct ChainOperands {
  using Before = ChainPair<Chain, Order, Position - 1>;
  using type = decltype(operands_after<Before>(std::declval<typename Before::Operands>(),
                                               std::declval<Movable<typename Before::Product>>()));
};
template <class Chain, int Order>
struct ChainOperands<Chain, Order, 0> {
  using type = typename Chain::Operands;
};

/// Types of one step: the pair, the tensor type of the product, and the plan.
template <class Chain, int Order, int Position>
struct ChainPair {
  static constexpr PairStep pair = Chain::search.orders[Chain::orders[Order].position].steps[Position];
  static constexpr bool is_last = Position + 1 == Chain::steps;
  using Operands = typename ChainOperands<Chain, Order, Position>::type;
  using Product = with_layout<typename Chain::First, Chain::orders[Order].products[Position]>;
  using Plan = Planned<pair.text, Marked<Product, is_last ? Chain::result_handling : Handling::movable>,
                       std::tuple_element_t<static_cast<std::size_t>(pair.left), Operands>,
                       std::tuple_element_t<static_cast<std::size_t>(pair.right), Operands>>;
};

/// Returns one order with the plans of its steps.
template <class Chain, int Order, int... Position>
consteval ChainOrder planned_order(std::integer_sequence<int, Position...>) {
  ChainOrder order;
  (order.add_step(ChainPair<Chain, Order, Position>::pair,
                  checked_plan<typename ChainPair<Chain, Order, Position>::Plan>()),
   ...);
  return order;
}

/// Returns the plan with all orders among which run-time extents choose.
template <class Chain, int... Order>
consteval ChainPlan planned_orders(std::integer_sequence<int, Order...>) {
  ChainPlan plan;
  (plan.add_order(planned_order<Chain, Order>(std::make_integer_sequence<int, Chain::steps>{})), ...);
  return plan;
}

/// Returns the plan; an empty one if the types have a mistake.
template <class Chain, bool IsRefused>
consteval ChainPlan planned_chain() {
  if constexpr (IsRefused) return {};
  else return planned_orders<Chain>(std::make_integer_sequence<int, Chain::orders.size()>{});
}

/// Runs an einsum of two operands, marked or not, recorded or not, with the result declared as `Declared`.
template <FixedString Text, class Declared, class Left, class Right>
auto run_pair(Left const& left, Right const& right) {
  using Plan = Planned<Text, Declared, PlainOperand<Left>, PlainOperand<Right>>;
  return Differentiable<PlannedEinsumOperation<Text, Plan>>{}(unmarked(left), unmarked(right));
}

/// Runs the last pair with the result annotated as `Declared`.
template <class Declared>
struct RunAs {
  template <FixedString Text, class Left, class Right>
  auto run(Left const& left, Right const& right) const {
    return run_pair<Text, Declared>(left, right);
  }
};

/// Runs the last pair into an existing tensor, marked as `Declared`; adds to it if `add`.
template <class Declared, class Result>
struct RunInto {
  Result const& result;
  bool add;
  template <FixedString Text, class Left, class Right>
  void run(Left const& left, Right const& right) const {
    using Plan = Planned<Text, Declared, PlainOperand<Left>, PlainOperand<Right>>;
    run_einsum_into<Text, Plan>(result, add, unmarked(left), unmarked(right));
  }
};

/// Contracts the pair of a step, and returns the operands that remain. Moves from `operands`: the pair is released when
/// its product is there, so that intermediate products live no longer than the contraction that reads them.
template <class Step, class... Operands>
auto contract_pair(std::tuple<Operands...>&& operands) {
  auto const left = std::move(std::get<Step::pair.left>(operands));
  auto const right = std::move(std::get<Step::pair.right>(operands));
  return operands_after<Step>(std::move(operands),
                              movable(run_pair<Step::pair.text, typename Step::Product>(left, right)));
}

/// Contracts the pairs of an order from `Position` on; `last` runs the last one. Moves from `operands`.
template <class Chain, int Order, int Position, class Last, class... Operands>
auto contract_pairs(std::tuple<Operands...>&& operands, Last const& last) {
  using Step = ChainPair<Chain, Order, Position>;
  if constexpr (Step::is_last) {
    return last.template run<Step::pair.text>(std::get<Step::pair.left>(operands),
                                              std::get<Step::pair.right>(operands));
  } else {
    auto rest = contract_pair<Step>(std::move(operands));
    return contract_pairs<Chain, Order, Position + 1>(std::move(rest), last);
  }
}

/// Contracts in order number `chosen`, a run-time value >= `Order`. Moves from `operands`.
template <class Chain, int Order, class Last, class... Operands>
auto contract_in_order(int chosen, std::tuple<Operands...>&& operands, Last const& last) {
  if constexpr (Order + 1 < Chain::orders.size())
    if (chosen != Order) return contract_in_order<Chain, Order + 1>(chosen, std::move(operands), last);
  return contract_pairs<Chain, Order, 0>(std::move(operands), last);
}

/// Einsum of more than two plain operands `Given`, marked or not. `Result` is the declared tensor type, marked or not,
/// or void.
template <FixedString Text, class Result, class... Given>
struct Chain {
  using Types = ChainTypes<Text, Result, Given...>;
  using mistake = typename decltype(chain_mistake<Text, Result, Given...>())::type;
  static constexpr bool is_refused = !std::is_void_v<mistake>;
  static constexpr ChainPlan plan = planned_chain<Types, is_refused>();

  /// Returns the global extent of each letter.
  template <class... Operands>
  static LetterExtents letter_extents(Operands const&... operands) {
    LetterExtents extents;
    int position = 0;
    (extents.set(Types::subscripts.operands[position++], value_of(unmarked(operands)).extents()), ...);
    return extents;
  }

  /// Returns the position in `plan.orders` of the cheapest order for the global extents; equal on every rank.
  template <class... Operands>
  static int cheapest_order(Operands const&... operands) {
    return cheapest_among(Types::orders, Types::search, letter_extents(operands...));
  }

  /// Contracts the operands, which may be recorded, and returns the result. Throws, before anything is contracted, as
  /// `result_extents` does, and StateError if a tape has run, is gone, or is not the tape of another operand.
  template <class... Operands>
  static auto run(Operands const&... operands) {
    using Declared =
        with_spec<typename Types::First,
                  typename DeclaredSpec<Result, MeshOf<Given...>, Types::orders[0].products[Types::steps - 1]>::type>;
    if constexpr ((is_recorded_operand<Operands> || ...)) tape_of(unmarked(operands)...).require_unrun();
    return contract(RunAs<Marked<Declared, Types::result_handling>>{}, operands...);
  }

  /// Contracts the tensors into `result`; adds to it if `add`. Throws as `result_extents` does.
  template <AnyTensor Tensor, class... Operands>
  static void run_into(Tensor const& result, bool add, Operands const&... operands) {
    contract(RunInto<Marked<Tensor, Types::result_handling>, Tensor>{result, add}, operands...);
  }

 private:
  /// Contracts in the cheapest order; `last` runs the last pair.
  template <class Last, class... Operands>
  static auto contract(Last const& last, Operands const&... operands) {
    (void)result_extents({Text.view()}, Types::subscripts, handles_of(value_of(unmarked(operands))...));
    return contract_in_order<Types, 0>(cheapest_order(operands...), std::make_tuple(operands...), last);
  }
};

}  // namespace gshard::detail
