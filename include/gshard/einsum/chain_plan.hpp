// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include <gshard/einsum/fixed_extents.hpp>
#include <gshard/einsum/order.hpp>
#include <gshard/einsum/planner.hpp>

namespace gshard {

/// One contraction of an einsum of more than two operands (see PairStep), and its plan. The plan has static storage
/// duration.
struct ChainStep {
  int left = 0;
  int right = 0;
  std::string_view text;
  EinsumPlan const* plan = nullptr;
};

/// One order of contraction. The inherited counts are the sums over its steps.
struct ChainOrder : CollectiveCounts {
  StaticVector<ChainStep, max_operands - 1> steps;

  /// Appends a step and adds its collectives. `plan` must outlive this object.
  constexpr void add_step(PairStep const& pair, EinsumPlan const& plan) {
    steps.push_back({pair.left, pair.right, pair.text.view(), &plan});
    for (EinsumStep const& step : plan.steps()) add(step.movement);
  }
};

/// Communication of an einsum of more than two operands, as a compile-time value.
/// `orders` has several entries if run-time extents decide between them. Each inherited count is the maximum over the
/// orders.
struct ChainPlan : CollectiveCounts {
  StaticVector<ChainOrder, detail::max_orders> orders;

  /// Appends an order and raises the counts to the maximum.
  constexpr void add_order(ChainOrder const& order) {
    orders.push_back(order);
    for (int CollectiveCounts::* count :
         {&CollectiveCounts::all_gather, &CollectiveCounts::all_reduce, &CollectiveCounts::reduce_scatter,
          &CollectiveCounts::all_to_all, &CollectiveCounts::permute, &CollectiveCounts::ring,
          &CollectiveCounts::exchange})
      this->*count = std::max(this->*count, order.*count);
  }
};

namespace detail {

/// Input of the planner for an einsum of more than two operands.
struct ChainFacts {
  StaticVector<Layout, max_operands> operands;
  StaticVector<Handling, max_operands> handling;
  /// Facts of the last contraction, except its subscripts and operands.
  EinsumFacts last;
};

/// Layouts of the products of an order, the result last. `is_possible` is false if an unmarked operand would have to be
/// communicated.
struct HeldProducts {
  StaticVector<Layout, max_operands - 1> layouts;
  bool is_possible = true;
};

/// Returns the layout of an intermediate product until it is contracted with `other`: the propagated layout of its
/// plan. A sum over axes by which `other` splits a letter of both is reduce-scattered over that letter instead of
/// all-reduced.
constexpr Layout layout_of_product(EinsumPlan const& plan, Labels const& letters, Layout const& other,
                                   Labels const& other_letters) {
  Layout layout = plan.result;
  AxisSet const summed = plan.produced.partial - plan.result.partial;
  for (int dimension = 0; dimension < other.rank(); ++dimension) {
    int const own = letters.find(other_letters[dimension]);
    if (own < 0 || is_repeated(other_letters, letters[own])) continue;
    AxisList const& axes = other.dimensions[dimension];
    AxisList& held = layout.dimensions[own];
    while (held.size() < axes.size() && starts_with(axes, held) && summed.contains(axes[held.size()]))
      held.push_back(axes[held.size()]);
  }
  return layout;
}

/// Plans the contractions of an order one after the other. Marks intermediate products as movable, so that the given
/// operands, where they are fixed, decide what a contraction splits.
constexpr HeldProducts hold_products(ContractionOrder const& order, ChainFacts facts) {
  HeldProducts held;
  for (int i = 0; i < order.size(); ++i) {
    PairStep const& step = order[i];
    bool const last = i + 1 == order.size();
    EinsumFacts pair = facts.last;
    pair.subscripts = parse_subscripts(step.text.view()).subscripts;
    if (!last) {
      pair.declared = std::nullopt;
      pair.result_handling = Handling::movable;
    }
    for (int operand : {step.left, step.right}) {
      pair.operands.push_back(facts.operands[operand]);
      pair.handling.push_back(facts.handling[operand]);
    }
    EinsumPlan const plan = plan_einsum(pair);
    held.is_possible = held.is_possible && plan.fault.kind == PlanFault::none;
    step.remove_from(facts.operands);
    step.remove_from(facts.handling);
    Layout product = plan.result;
    if (!last && order[i + 1].right == facts.operands.size()) {
      Labels const other = parse_subscripts(order[i + 1].text.view()).subscripts.operands[0];
      product = layout_of_product(plan, pair.subscripts.result, facts.operands[order[i + 1].left], other);
    }
    facts.operands.push_back(product);
    facts.handling.push_back(Handling::movable);
    held.layouts.push_back(product);
  }
  return held;
}

/// One order: its position in the search, and the layouts of its products.
struct PossibleOrder {
  int position = 0;
  StaticVector<Layout, max_operands - 1> products;
};

using PossibleOrders = StaticVector<PossibleOrder, max_orders>;

/// Returns the orders in which no unmarked operand has to be communicated. All have the same layout of the result:
/// declared, or as the first of them propagates it. If there is none, returns the first order of the search, whose plan
/// has the fault to report.
constexpr PossibleOrders possible_orders(OrderSearch const& search, ChainFacts facts) {
  PossibleOrders possible;
  for (int i = 0; i < search.orders.size(); ++i) {
    HeldProducts const held = hold_products(search.orders[i].steps, facts);
    if (!held.is_possible) continue;
    possible.push_back({i, held.layouts});
    if (!facts.last.declared) facts.last.declared = held.layouts.back();
  }
  if (possible.empty() && !search.orders.empty())
    possible.push_back({0, hold_products(search.orders[0].steps, facts).layouts});
  return possible;
}

/// Returns the position in `possible` of the order that is the cheapest for these extents; the first one on a tie.
constexpr int cheapest_among(PossibleOrders const& possible, OrderSearch const& search, LetterExtents const& extents) {
  int cheapest = 0;
  for (int i = 1; i < possible.size(); ++i)
    if (search.orders[possible[i].position].is_cheaper_than(search.orders[possible[cheapest].position], extents))
      cheapest = i;
  return cheapest;
}

/// Returns the cheapest order alone if the types fix all extents, else `possible`.
constexpr PossibleOrders cheapest_of_fixed(PossibleOrders const& possible, OrderSearch const& search,
                                           Subscripts const& subscripts, FixedExtents const& fixed) {
  LetterExtents extents;
  for (Labels const& operand : subscripts.operands) {
    Extents of_letters;
    for (char const letter : operand) of_letters.push_back(fixed.of(letter));
    if (of_letters.contains(dynamic_extent)) return possible;
    extents.set(operand, of_letters);
  }
  PossibleOrders cheapest;
  cheapest.push_back(possible[cheapest_among(possible, search, extents)]);
  return cheapest;
}

}  // namespace detail
}  // namespace gshard
