// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include <gshard/einsum/fewest_bytes.hpp>
#include <gshard/einsum/plan.hpp>
#include <gshard/einsum/subscripts.hpp>

namespace gshard {

namespace detail {

/// Input of the planner: one einsum of one or two operands.
/// `declared` is the layout of the result, if it is declared. `fixed` holds the extents that the types fix.
struct EinsumFacts {
  Subscripts subscripts;
  StaticVector<Layout, 2> operands;
  StaticVector<Handling, 2> handling;
  std::optional<Layout> declared;
  Handling result_handling = Handling::movable;
  StaticSizes sizes;
  FixedExtents fixed{};
  StaticVector<std::string_view, max_axes> axis_names;
  /// Whether a mark without effect is a fault. False in gradients: they inherit the marks of the forward pass.
  bool strict = true;
};

/// Returns facts with the subscripts and the mesh set; operands and result are left to the caller.
template <class Mesh>
constexpr EinsumFacts facts_on(Subscripts const& subscripts) {
  EinsumFacts facts;
  facts.subscripts = subscripts;
  facts.sizes = static_sizes_of<Mesh>();
  for (int axis = 0; axis < Mesh::axis_count; ++axis) facts.axis_names.push_back(Mesh::name(axis));
  return facts;
}

/// Returns the letter that `axis` splits in a tensor with these labels; '\0' if it splits none.
constexpr char split_letter(Labels const& labels, Layout const& layout, int axis) {
  int const dimension = layout.dimension_of(axis);
  return dimension < 0 ? '\0' : labels[dimension];
}

constexpr bool is_repeated(Labels const& labels, char letter) {
  int count = 0;
  for (char label : labels) count += label == letter ? 1 : 0;
  return count > 1;
}

/// Returns whether a tensor of the einsum has `letter` twice. The result can have one twice in the gradient of an
/// einsum that takes a diagonal.
constexpr bool is_repeated(Subscripts const& subscripts, char letter) {
  bool repeated = is_repeated(subscripts.result, letter);
  for (Labels const& operand : subscripts.operands) repeated = repeated || is_repeated(operand, letter);
  return repeated;
}

/// What one mesh axis does during the local contraction: splits `letter` (none if '\0'), or passes an unreduced sum of
/// an operand on to the result.
struct AxisRole {
  char letter = '\0';
  bool passes_partial = false;
};

/// Returns the role of one axis by the table of the planner.
///
/// | the axis splits                | the contraction works on       | reason                                         |
/// | ------------------------------ | ------------------------------ | ---------------------------------------------- |
/// | the same letter in both        | that letter                    | the blocks match: no operand is communicated   |
/// | one letter, in one operand     | that letter                    | slicing the other operand is local             |
/// | no letter                      | the declared result's letter,  | slices are local, and each rank does 1/p of    |
/// |                                | if any                         | the work                                       |
/// | none, one operand is partial   | no letter                      | the product is linear: the sum is passed on    |
/// | two letters: the first of these rows that applies                                                                |
/// | - one operand alone is marked  | the letter of the other        | the call says which operand to communicate     |
/// |   gathered or in_ring          |                                |                                                |
/// | - one operand alone is marked  | the letter of the other        | an unmarked operand must not be communicated   |
/// | - the declared result has one  | that letter                    | no communication after the contraction         |
/// |   of the letters on this axis  |                                |                                                |
/// | - the types fix all extents    | the one for the fewest bytes   | counts are known; on a tie, the next row       |
/// | - the right operand has the    | the left operand's letter      | the right operand takes an all-to-all: 1/p of  |
/// |   left one's letter            |                                | what an all-gather sends and stores            |
/// | - the left operand has the     | the right operand's letter     | the same for the left operand                  |
/// |   right one's letter           |                                |                                                |
/// | - otherwise                    | the left operand's letter      | convention: activations left, weights right;   |
/// |                                |                                | weights are communicated                       |
constexpr AxisRole role_of_axis(EinsumFacts const& facts, int axis) {
  Subscripts const& subscripts = facts.subscripts;
  bool const binary = facts.operands.size() == 2;
  auto letter_in = [&](int operand) {
    char const letter = split_letter(subscripts.operands[operand], facts.operands[operand], axis);
    // On a diagonal, blocks of the two dimensions do not match: every tensor holds a repeated letter whole.
    return is_repeated(subscripts, letter) ? '\0' : letter;
  };
  char const left = letter_in(0);
  char const right = binary ? letter_in(1) : '\0';
  char const wanted = facts.declared ? split_letter(subscripts.result, *facts.declared, axis) : '\0';
  bool const left_partial = facts.operands[0].partial.contains(axis);
  bool const right_partial = binary && facts.operands[1].partial.contains(axis);
  if (left_partial != right_partial && (left_partial ? right : left) == '\0') return {'\0', true};
  if (left != '\0' && right != '\0' && left != right) {
    auto moves_first = [&](int operand) {
      return facts.handling[operand] == Handling::gathered || facts.handling[operand] == Handling::in_ring;
    };
    if (moves_first(0) != moves_first(1)) return {moves_first(1) ? left : right};
    bool const on_left = facts.handling[1] != Handling::fixed;
    bool const on_right = facts.handling[0] != Handling::fixed;
    if (on_left != on_right) return {on_left ? left : right};
    if (wanted == left || wanted == right) return {wanted};
    if (auto const cheaper =
            FewestBytes(subscripts, facts.operands, facts.declared, facts.sizes, facts.fixed).choose(axis, left, right))
      return {*cheaper};
    if (subscripts.operands[1].contains(left)) return {left};
    return {subscripts.operands[0].contains(right) ? right : left};
  }
  if (left != '\0' || right != '\0') return {left != '\0' ? left : right};
  return {is_repeated(subscripts, wanted) ? '\0' : wanted};
}

/// Returns the axes that split `letter` during the contraction. Order: as in the operand that splits `letter` over more
/// axes, then as in the other, then as in the declared result. Operands whose axes are a prefix of this order are
/// sliced, not reordered.
constexpr AxisList axes_on_letter(EinsumFacts const& facts, StaticVector<AxisRole, max_axes> const& roles,
                                  char letter) {
  AxisList order;
  auto append = [&](Labels const& labels, Layout const& layout) {
    int const dimension = labels.find(letter);
    if (dimension < 0) return;
    for (int axis : layout.dimensions[dimension])
      if (roles[axis].letter == letter && !order.contains(axis)) order.push_back(axis);
  };
  bool const right_first = facts.operands.size() == 2 && facts.subscripts.operands[1].contains(letter) &&
                           (!facts.subscripts.operands[0].contains(letter) ||
                            facts.operands[1].dimensions[facts.subscripts.operands[1].find(letter)].size() >
                                facts.operands[0].dimensions[facts.subscripts.operands[0].find(letter)].size());
  for (int i = 0; i < facts.operands.size(); ++i) {
    int const operand = right_first ? 1 - i : i;
    append(facts.subscripts.operands[operand], facts.operands[operand]);
  }
  if (facts.declared) append(facts.subscripts.result, *facts.declared);
  return order;
}

/// Returns the first movement of an unmarked operand, which the call does not allow.
constexpr PlanFault fault_of_move(EinsumFacts const& facts, StaticVector<AxisRole, max_axes> const& roles, int operand,
                                  Layout const& needed) {
  Layout const& given = facts.operands[operand];
  PlanFault fault{PlanFault::operand_must_reorder, operand, 0, '\0'};
  for (int axis = 0; axis < roles.size(); ++axis) {
    if (given.partial.contains(axis) && !needed.partial.contains(axis))
      return {PlanFault::operand_must_reduce, operand, axis, roles[axis].letter};
    int const before = given.dimension_of(axis);
    if (before >= 0 && before != needed.dimension_of(axis))
      return {PlanFault::operand_must_move, operand, axis, roles[axis].letter};
    if (before >= 0 && !starts_with(needed.dimensions[before], given.dimensions[before])) fault.axis = axis;
  }
  return fault;
}

/// Returns the dimension in which two layouts differ; -1 if they differ in none or in several.
constexpr int changed_dimension(Layout const& from, Layout const& to) {
  int changed = -1;
  for (int dimension = 0; dimension < from.rank(); ++dimension) {
    if (from.dimensions[dimension] == to.dimensions[dimension]) continue;
    if (changed >= 0) return -1;
    changed = dimension;
  }
  return changed;
}

/// Returns the steps [begin, end) of a plan.
constexpr ReshardPlan part_of(ReshardPlan const& plan, int begin, int end) {
  ReshardPlan part;
  for (int i = begin; i < end; ++i) part.add_step(plan.steps[i].movement, plan.steps[i].axes, plan.steps[i].layout);
  return part;
}

/// Replaces the all-gather of an operand by a ring and returns true. Returns false, without changes, unless that
/// all-gather is the last step and the only collective of the move, changes one dimension, and the plan has no ring
/// yet.
constexpr bool plan_operand_loop(EinsumPlan& plan, EinsumFacts const& facts, int operand) {
  ReshardPlan& move = plan.operand_moves[operand];
  int const last = move.steps.size() - 1;
  if (move.total() != 1 || move.steps[last].movement != Movement::all_gather || plan.loop.runs()) return false;
  Layout const windows = last == 0 ? facts.operands[operand] : move.steps[last - 1].layout;
  int const dimension = changed_dimension(windows, move.steps[last].layout);
  if (dimension < 0) return false;
  plan.loop = {operand == 0 ? Role::left : Role::right, move.steps[last].axes,
               facts.subscripts.operands[operand][dimension]};
  plan.operands[operand] = windows;
  move = part_of(move, 0, last);
  return true;
}

/// Replaces the reduce-scatter of the result by a ring and returns true. Returns false, without changes, unless that
/// reduce-scatter is the first step of the move, changes one dimension, and the plan has no ring yet.
constexpr bool plan_result_loop(EinsumPlan& plan, EinsumFacts const& facts) {
  ReshardPlan& move = plan.result_move;
  if (move.steps.empty() || move.steps[0].movement != Movement::reduce_scatter || plan.loop.runs()) return false;
  int const dimension = changed_dimension(plan.produced, move.steps[0].layout);
  if (dimension < 0) return false;
  plan.loop = {Role::result, move.steps[0].axes, facts.subscripts.result[dimension]};
  plan.produced = move.steps[0].layout;
  move = part_of(move, 1, move.steps.size());
  return true;
}

/// Applies the marks `gathered` and `in_ring`. Faults: no operand that is marked so is communicated; an in_ring
/// tensor has no ring form. If both operands are marked, one that is communicated is enough.
constexpr void apply_marks(EinsumPlan& plan, EinsumFacts const& facts) {
  bool any_repeated = false;
  for (char letter : facts.subscripts.result) any_repeated = any_repeated || is_repeated(facts.subscripts, letter);
  for (Labels const& operand : facts.subscripts.operands)
    for (char letter : operand) any_repeated = any_repeated || is_repeated(facts.subscripts, letter);
  int idle = -1;
  bool moves = false;
  for (int operand = 0; operand < facts.operands.size(); ++operand) {
    Handling const handling = facts.handling[operand];
    if (handling != Handling::gathered && handling != Handling::in_ring) continue;
    if (plan.operand_moves[operand].is_free()) {
      idle = operand;
      continue;
    }
    moves = true;
    if (handling == Handling::in_ring && (any_repeated || !plan_operand_loop(plan, facts, operand)) && facts.strict)
      plan.fault = {PlanFault::no_ring, operand, 0, '\0'};
  }
  if (idle >= 0 && !moves && facts.strict) plan.fault = {PlanFault::operand_stays, idle, 0, '\0'};
  if (facts.result_handling == Handling::in_ring && (any_repeated || !plan_result_loop(plan, facts)) && facts.strict)
    plan.fault = {PlanFault::no_ring, 2, 0, '\0'};
  if (!plan.loop.runs()) return;
  plan.loop.ranks = 1;
  for (int axis = 0; axis < facts.sizes.size(); ++axis)
    if (plan.loop.axes.contains(axis)) plan.loop.ranks *= facts.sizes[axis];
}

}  // namespace detail

/// Plans one einsum: chooses the role of each mesh axis on its own (detail::role_of_axis), then plans the reshards of
/// operands and result.
/// Records the first unmarked operand that would have to be communicated in `fault` of the plan.
constexpr EinsumPlan plan_einsum(detail::EinsumFacts const& facts) {
  using namespace detail;
  EinsumPlan plan;
  StaticVector<AxisRole, max_axes> roles;
  for (int axis = 0; axis < facts.sizes.size(); ++axis) roles.push_back(role_of_axis(facts, axis));

  AxisSet passed;
  AxisSet contracted;
  for (int axis = 0; axis < roles.size(); ++axis) {
    if (roles[axis].passes_partial) passed |= AxisSet::of(axis);
    if (roles[axis].letter != '\0' && !facts.subscripts.result.contains(roles[axis].letter))
      contracted |= AxisSet::of(axis);
  }
  auto layout_for = [&](Labels const& labels) {
    Layout layout;
    for (char letter : labels)
      layout.dimensions.push_back(is_repeated(labels, letter) ? AxisList{} : axes_on_letter(facts, roles, letter));
    return layout;
  };

  for (int operand = 0; operand < facts.operands.size(); ++operand) {
    Layout needed = layout_for(facts.subscripts.operands[operand]);
    needed.partial = facts.operands[operand].partial & passed;
    ReshardPlan const move = plan_reshard(facts.operands[operand], needed, facts.sizes);
    if (!move.is_free() && facts.handling[operand] == Handling::fixed && plan.fault.kind == PlanFault::none)
      plan.fault = fault_of_move(facts, roles, operand, needed);
    plan.operands.push_back(needed);
    plan.operand_moves.push_back(move);
  }

  plan.produced = layout_for(facts.subscripts.result);
  plan.produced.partial = passed | contracted;
  plan.result = plan.produced;
  plan.result.partial = passed;
  if (facts.declared) plan.result = *facts.declared;
  plan.result_move = plan_reshard(plan.produced, plan.result, facts.sizes);
  plan.axis_names = facts.axis_names;
  if (plan.fault.kind == PlanFault::none) apply_marks(plan, facts);
  for (EinsumStep const& step : plan.steps()) plan.add(step.movement);
  return plan;
}

}  // namespace gshard
