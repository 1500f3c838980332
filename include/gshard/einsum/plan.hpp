// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <gshard/einsum/fewest_bytes.hpp>
#include <gshard/einsum/subscripts.hpp>
#include <gshard/reshard/plan.hpp>

namespace gshard {

/// Whose elements a movement of an einsum carries.
enum class Role { left, right, result };

/// One movement of an einsum.
struct EinsumStep {
  Role role = Role::left;
  Movement movement = Movement::slice;
  AxisSet axes;
};

namespace detail {

/// Why an einsum cannot be planned as written: operand `operand` would have to move along `axis`, to be held by the letter `letter`, or whole where
/// there is none; or both operands are unreduced sums over `axis`.
struct PlanFault {
  enum Kind { none, operand_must_move, operand_must_reorder, operand_must_reduce } kind = none;
  int operand = 0;
  int axis = 0;
  char letter = '\0';
};

}  // namespace detail

/// The communication of one einsum: a compile-time value. The counts are those of collectives; slices are free.
struct EinsumPlan : CollectiveCounts {
  /// The layouts in which the local contraction reads its operands and leaves its result.
  StaticVector<Layout, 2> operands;
  Layout produced;
  /// The layout of the result: as declared, or as propagated.
  Layout result;
  /// What leads from the given operands to `operands`, and from `produced` to `result`.
  StaticVector<ReshardPlan, 2> operand_moves;
  ReshardPlan result_move;
  detail::PlanFault fault;

  constexpr StaticVector<EinsumStep, 18> steps() const {
    StaticVector<EinsumStep, 18> list;
    for (int i = 0; i < operand_moves.size(); ++i)
      for (ReshardStep const& step : operand_moves[i].steps) list.push_back({i == 0 ? Role::left : Role::right, step.movement, step.axes});
    for (ReshardStep const& step : result_move.steps) list.push_back({Role::result, step.movement, step.axes});
    return list;
  }
};

namespace detail {

/// What the planner knows of one einsum.
struct EinsumFacts {
  Subscripts subscripts;
  StaticVector<Layout, 2> operands;
  StaticVector<bool, 2> movable;
  std::optional<Layout> declared;
  StaticSizes sizes;
  FixedExtents fixed{};
};

/// The letter that `axis` splits in a tensor with these labels; '\0' where it splits none.
constexpr char split_letter(Labels const& labels, Layout const& layout, int axis) {
  int const dimension = layout.dimension_of(axis);
  return dimension < 0 ? '\0' : labels[dimension];
}

constexpr bool is_repeated(Labels const& labels, char letter) {
  int count = 0;
  for (char label : labels) count += label == letter ? 1 : 0;
  return count > 1;
}

/// Whether some tensor of the einsum has `letter` twice. In gradients of einsums that take a diagonal, the result has.
constexpr bool is_repeated(Subscripts const& subscripts, char letter) {
  bool repeated = is_repeated(subscripts.result, letter);
  for (Labels const& operand : subscripts.operands) repeated = repeated || is_repeated(operand, letter);
  return repeated;
}

/// What one mesh axis does during the local contraction: it splits `letter`, or nothing; or it passes an operand's unreduced sum on to the result.
struct AxisRole {
  char letter = '\0';
  bool passes_partial = false;
};

/// The table of the planner, for one axis. `left` and `right` are the letters that the axis splits in the operands.
///
/// | split                          | the contraction works on                                                              |
/// | ------------------------------ | ------------------------------------------------------------------------------------- |
/// | the same letter in both        | that letter                                                                           |
/// | one letter, in one operand     | that letter; the other operand is sliced, for free, where it has the letter           |
/// | two letters                    | the one that no immovable operand forbids; of two such, the letter that the declared  |
/// |                                | result has on this axis, since nothing moves afterwards; else, where the types fix    |
/// |                                | all extents, the one for which fewer bytes move; else the one that the other          |
/// |                                | operand has too, since an all-to-all is cheaper than an all-gather; else the left one |
/// | none                           | the letter that the declared result has on this axis: slices are free                 |
/// | none, one operand partial      | nothing; the sum stays unreduced                                                      |
constexpr AxisRole role_of_axis(EinsumFacts const& facts, int axis) {
  Subscripts const& subscripts = facts.subscripts;
  bool const binary = facts.operands.size() == 2;
  auto letter_in = [&](int operand) {
    char const letter = split_letter(subscripts.operands[operand], facts.operands[operand], axis);
    // Blocks of two dimensions do not meet on the diagonal: a letter that some tensor repeats is held whole by all.
    return is_repeated(subscripts, letter) ? '\0' : letter;
  };
  char const left = letter_in(0);
  char const right = binary ? letter_in(1) : '\0';
  char const wanted = facts.declared ? split_letter(subscripts.result, *facts.declared, axis) : '\0';
  bool const left_partial = facts.operands[0].partial.contains(axis);
  bool const right_partial = binary && facts.operands[1].partial.contains(axis);
  if (left_partial != right_partial && (left_partial ? right : left) == '\0') return {'\0', true};
  if (left != '\0' && right != '\0' && left != right) {
    bool const on_left = facts.movable[1];
    bool const on_right = facts.movable[0];
    if (on_left != on_right) return {on_left ? left : right};
    if (wanted == left || wanted == right) return {wanted};
    if (auto const cheaper = FewestBytes(subscripts, facts.operands, facts.declared, facts.sizes, facts.fixed).choose(axis, left, right)) return {*cheaper};
    if (subscripts.operands[1].contains(left)) return {left};
    return {subscripts.operands[0].contains(right) ? right : left};
  }
  if (left != '\0' || right != '\0') return {left != '\0' ? left : right};
  return {is_repeated(subscripts, wanted) ? '\0' : wanted};
}

/// The axes that split `letter` during the contraction, in the order that lets most operands stay as they are.
constexpr AxisList axes_on_letter(EinsumFacts const& facts, StaticVector<AxisRole, max_axes> const& roles, char letter) {
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

/// The first movement of an operand that the call does not allow.
constexpr PlanFault fault_of_move(EinsumFacts const& facts, StaticVector<AxisRole, max_axes> const& roles, int operand, Layout const& needed) {
  Layout const& given = facts.operands[operand];
  PlanFault fault{PlanFault::operand_must_reorder, operand, 0, '\0'};
  for (int axis = 0; axis < roles.size(); ++axis) {
    if (given.partial.contains(axis) && !needed.partial.contains(axis)) return {PlanFault::operand_must_reduce, operand, axis, roles[axis].letter};
    int const before = given.dimension_of(axis);
    if (before >= 0 && before != needed.dimension_of(axis)) return {PlanFault::operand_must_move, operand, axis, roles[axis].letter};
    if (before >= 0 && !starts_with(needed.dimensions[before], given.dimensions[before])) fault.axis = axis;
  }
  return fault;
}

}  // namespace detail

/// Plans one einsum: each mesh axis by itself (see detail::role_of_axis), then the reshards of operands and result that follow. An operand that would
/// have to move without being movable is a fault of the plan.
constexpr EinsumPlan plan_einsum(detail::EinsumFacts const& facts) {
  using namespace detail;
  EinsumPlan plan;
  StaticVector<AxisRole, max_axes> roles;
  for (int axis = 0; axis < facts.sizes.size(); ++axis) roles.push_back(role_of_axis(facts, axis));

  AxisSet passed;
  AxisSet contracted;
  for (int axis = 0; axis < roles.size(); ++axis) {
    if (roles[axis].passes_partial) passed |= AxisSet::of(axis);
    if (roles[axis].letter != '\0' && !facts.subscripts.result.contains(roles[axis].letter)) contracted |= AxisSet::of(axis);
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
    if (!move.is_free() && !facts.movable[operand] && plan.fault.kind == PlanFault::none)
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
  for (EinsumStep const& step : plan.steps()) plan.add(step.movement);
  return plan;
}

}  // namespace gshard
