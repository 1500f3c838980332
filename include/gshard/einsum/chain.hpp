// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/core/call_with.hpp>
#include <gshard/einsum/chain_plan.hpp>
#include <gshard/einsum/einsum.hpp>

// Einsums of more than two operands: pairwise contractions in the order with the fewest multiplications.

namespace gshard::detail {

/// Returns an evaluated operand with the mark that `Operand` has.
template <class Operand>
auto marked_operand(OperandTensor<Operand> const& tensor) {
  if constexpr (handling_of<Operand> == Handling::fixed) return tensor;
  else return Handled<OperandTensor<Operand>, handling_of<Operand>>{tensor};
}

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

/// Types and constants of a chain. Precondition: chain_mistake is void.
template <FixedString Text, class Result, class... Given>
struct ChainTypes {
  using Operands = std::tuple<decltype(marked_operand<Given>(std::declval<OperandTensor<Given>>()))...>;
  using First = std::tuple_element_t<0, std::tuple<OperandTensor<Given>...>>;
  static constexpr int steps = static_cast<int>(sizeof...(Given)) - 1;
  static constexpr Subscripts subscripts = subscripts_for<Text, OperandTensor<Given>...>;
  static constexpr OrderSearch const& search = order_search<Text, Given...>;
  static constexpr auto orders = orders_of_chain<Text, Result, Given...>();
  static constexpr Handling result_handling = result_handling_of<Result>;
};

/// Returns the operands that remain after a step, followed by its product.
template <class Step, class Product, class... Operands>
auto operands_after(std::tuple<Operands...> const& operands, Product const& product) {
  return [&]<std::size_t... Rest>(std::index_sequence<Rest...>) {
    return std::make_tuple(
        std::get<static_cast<std::size_t>(Step::pair.position_of_rest(static_cast<int>(Rest)))>(operands)..., product);
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

/// Contracts the pairs of an order from `Position` on, and passes the last einsum, deferred, to `finish`.
template <class Chain, int Order, int Position, class Finish, class... Operands>
auto contract_pairs(std::tuple<Operands...> const& operands, Finish const& finish) {
  using Step = ChainPair<Chain, Order, Position>;
  auto const pair = einsum<Step::pair.text>(std::get<Step::pair.left>(operands), std::get<Step::pair.right>(operands));
  if constexpr (Step::is_last) return finish(pair);
  else
    return contract_pairs<Chain, Order, Position + 1>(
        operands_after<Step>(operands, movable(shard<typename Step::Product::spec_type>(pair))), finish);
}

/// Contracts in order number `chosen`, a run-time value >= `Order`.
template <class Chain, int Order, class Finish, class... Operands>
auto contract_in_order(int chosen, std::tuple<Operands...> const& operands, Finish const& finish) {
  if constexpr (Order + 1 < Chain::orders.size())
    if (chosen != Order) return contract_in_order<Chain, Order + 1>(chosen, operands, finish);
  return contract_pairs<Chain, Order, 0>(operands, finish);
}

/// Runs the last einsum with the result annotated by `Spec`.
template <class Spec, Handling How>
struct EvalAs {
  template <class Einsum>
  auto operator()(Einsum const& einsum) const {
    return einsum.template eval_as<Spec, How>();
  }
};

/// Runs the last einsum into an existing tensor; adds to it if `add`.
template <class Result, Handling How>
struct PutInto {
  Result const& result;
  bool add;
  template <class Einsum>
  void operator()(Einsum const& einsum) const {
    einsum.template into<How>(result, add);
  }
};

/// Einsum of more than two operands. `Result` is the declared tensor type, marked or not, or void.
template <FixedString Text, class Result, class... Given>
struct Chain {
  using Types = ChainTypes<Text, Result, Given...>;
  using Tensors = std::tuple<OperandTensor<Given>...>;
  using mistake = typename decltype(chain_mistake<Text, Result, Given...>())::type;
  static constexpr bool is_refused = !std::is_void_v<mistake>;
  static constexpr ChainPlan plan = planned_chain<Types, is_refused>();

  /// Returns the global extent of each letter.
  static LetterExtents letter_extents(Tensors const& tensors) {
    LetterExtents extents;
    int operand = 0;
    for (TensorHandle const* tensor : handles_of(tensors))
      extents.set(Types::subscripts.operands[operand++], (*tensor)->extents);
    return extents;
  }

  /// Returns the position in `plan.orders` of the cheapest order for the global extents; equal on every rank.
  static int cheapest_order(Tensors const& tensors) {
    return cheapest_among(Types::orders, Types::search, letter_extents(tensors));
  }

  /// Contracts `operands`, whose values are `tensors`, and returns the result. `operands` may be recorded on a tape.
  /// Throws as `result_extents` does.
  template <class... Operands>
  static auto run(Tensors const& tensors, std::tuple<Operands...> const& operands) {
    (void)result_extents({Text.view()}, Types::subscripts, handles_of(tensors));
    using Declared =
        with_spec<typename Types::First,
                  typename DeclaredSpec<Result, MeshOf<Given...>, Types::orders[0].products[Types::steps - 1]>::type>;
    return contract_in_order<Types, 0>(cheapest_order(tensors), operands,
                                       EvalAs<typename Declared::spec_type, Types::result_handling>{});
  }

  /// Contracts the tensors and returns the result. Throws as `result_extents` does.
  static auto run(Tensors const& tensors) { return run(tensors, operands_of(tensors)); }

  /// Contracts the tensors into `result`; adds to it if `add`.
  /// Throws as `result_extents` and `check_result_tensor` do.
  template <AnyTensor Tensor>
  static void run_into(Tensor const& result, bool add, Tensors const& tensors) {
    check_result_tensor({Text.view()}, {"result", result},
                        result_extents({Text.view()}, Types::subscripts, handles_of(tensors)),
                        {"operand 0", std::get<0>(tensors)});
    contract_in_order<Types, 0>(cheapest_order(tensors), operands_of(tensors),
                                PutInto<Tensor, Types::result_handling>{result, add});
  }

 private:
  static auto operands_of(Tensors const& tensors) {
    return call_with(tensors,
                     [](auto const&... tensor) { return typename Types::Operands(marked_operand<Given>(tensor)...); });
  }
};

}  // namespace gshard::detail

namespace gshard {

/// Returns the deferred einsum of more than two operands, `einsum<"ab,bc,cd->ad">(x, u, v)`, which contracts two
/// operands at a time.
/// Order: the fewest multiplications, then the smallest intermediate products, then the first order found. The global
/// extents decide, so that all ranks agree, among all orders of up to four operands in which no unmarked operand has to
/// be communicated. With more operands, pairs whose product has the fewest letters are contracted first, until four
/// remain.
/// Intermediate products have the layout that their plan propagates, and are communicated where the next contraction
/// needs it.
/// Communication: `plan_of` lists every order with its collectives.
/// Does not compile if every order has an intermediate product of more than 8 dimensions. Throws as `einsum` of two
/// operands does.
template <FixedString Text, class A, class B, class C, class... More>
  requires EinsumInput<A> && EinsumInput<B> && EinsumInput<C> && (EinsumInput<More> && ...)
auto einsum(A const& a, B const& b, C const& c, More const&... more) {
  return Einsum<Text, A, B, C, More...>(a, b, c, more...);
}

}  // namespace gshard
