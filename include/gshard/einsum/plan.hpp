// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <gshard/reshard/plan.hpp>

namespace gshard {

/// How an einsum may communicate one of its tensors.
/// - fixed: must not be communicated; holds for unmarked operands
/// - movable: may be communicated as the planner's table says (detail::role_of_axis); holds for results
/// - gathered: operand to communicate before the contraction, in preference to the other operand
/// - in_ring: operand or result to communicate in a ring during the contraction (collective matmul)
enum class Handling { fixed, movable, gathered, in_ring };

/// Tensor that a movement of an einsum communicates.
/// - left: the first operand
/// - right: the second operand
/// - result: the result
enum class Role { left, right, result };

/// One movement of an einsum, over the groups of ranks along `axes`.
struct EinsumStep {
  Role role = Role::left;
  Movement movement = Movement::slice;
  AxisSet axes;
};

/// Ring of a collective matmul.
/// For an operand, the ring replaces an all-gather: the blocks of the operand travel over each group along `axes`; a
/// rank multiplies one window of `letter` while it receives the next one.
/// For the result, the ring replaces a reduce-scatter: the partial sums of the blocks of the result travel.
/// Source: paper 3.3.2, figure 4.
struct EinsumLoop {
  Role role = Role::right;
  AxisSet axes;
  char letter = '\0';
  /// Group size if the mesh type fixes it, else 0.
  int ranks = 0;

  /// Returns whether the plan has a ring.
  constexpr bool runs() const { return letter != '\0'; }
  /// Returns whether operand 0 or 1 is communicated in the ring.
  constexpr bool is_of(int operand) const { return runs() && role == (operand == 0 ? Role::left : Role::right); }
  /// Returns the number of local products per rank; 0 if the mesh type does not fix the group size.
  constexpr int products() const { return ranks; }
  /// Returns the number of permutes per rank.
  /// Precondition: the mesh type fixes the group size.
  constexpr int permutes() const { return ranks - 1; }
};

namespace detail {

/// Reason why an einsum cannot be planned as written.
/// - operand_must_move: unmarked operand `operand` would have to be communicated along `axis` to be split on `letter`,
///   or to be held whole if `letter` is '\0'
/// - operand_must_reorder: unmarked operand `operand` lists the axes of a dimension in an order that differs from the
///   contraction
/// - operand_must_reduce: unmarked operand `operand` is an unreduced sum over `axis`, which the other operand uses too
/// - operand_stays: operand `operand` is marked gathered or in_ring, but does not have to be communicated
/// - no_ring: tensor `operand` (2 is the result) is marked in_ring, but its movement has no ring form
struct PlanFault {
  enum Kind { none, operand_must_move, operand_must_reorder, operand_must_reduce, operand_stays, no_ring } kind = none;
  int operand = 0;
  int axis = 0;
  char letter = '\0';
};

}  // namespace detail

/// Communication of one einsum of one or two operands, as a compile-time value.
/// The inherited counts are numbers of collectives. Local movements (slice, zero-fill) are not counted; a ring counts
/// once.
struct EinsumPlan : CollectiveCounts {
  /// Layouts in which the local contraction reads its operands.
  /// An operand in the ring: the layout of its first window.
  StaticVector<Layout, 2> operands;
  /// Layout in which the local contraction leaves its result.
  /// A result in the ring: the layout of the block that stays on the rank.
  Layout produced;
  /// Layout of the result: declared, or propagated if it is not declared.
  Layout result;
  /// Reshards from the given layouts to `operands`.
  StaticVector<ReshardPlan, 2> operand_moves;
  /// Reshard from `produced` to `result`.
  ReshardPlan result_move;
  /// Ring that runs during the contraction, if `loop.runs()`.
  EinsumLoop loop;
  /// Names of the mesh axes, indexed as in AxisSet.
  StaticVector<std::string_view, max_axes> axis_names;
  detail::PlanFault fault;

  /// Returns all movements in execution order.
  constexpr StaticVector<EinsumStep, 20> steps() const {
    StaticVector<EinsumStep, 20> list;
    for (int i = 0; i < operand_moves.size(); ++i)
      for (ReshardStep const& step : operand_moves[i].steps)
        list.push_back({i == 0 ? Role::left : Role::right, step.movement, step.axes});
    if (loop.runs()) list.push_back({loop.role, Movement::ring, loop.axes});
    for (ReshardStep const& step : result_move.steps) list.push_back({Role::result, step.movement, step.axes});
    return list;
  }

  /// Returns the kinds of movement that reshard operands and result; a ring is not among them.
  constexpr MovementSet movements() const {
    MovementSet set;
    for (EinsumStep const& step : steps())
      if (step.movement != Movement::ring) set.add(step.movement);
    return set;
  }

  /// Returns the collectives along the mesh axis named `axis`: `plan_of<...>.over("data").total() == 0`.
  constexpr CollectiveCounts over(std::string_view axis) const {
    CollectiveCounts counts;
    for (EinsumStep const& step : steps())
      for (int i = 0; i < axis_names.size(); ++i)
        if (axis_names[i] == axis && step.axes.contains(i)) counts.add(step.movement);
    return counts;
  }
};

}  // namespace gshard
