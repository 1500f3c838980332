// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <gshard/reshard/plan.hpp>

namespace gshard {

/// How a tensor of an einsum may move: not at all, which holds for operands that are not marked; as the table of the
/// planner says, which holds for results; before the contraction, or in a ring while it runs, in preference to the
/// other operand.
enum class Handling { fixed, movable, gathered, circulating };

/// Whose elements a movement of an einsum carries.
enum class Role { left, right, result };

/// One movement of an einsum.
struct EinsumStep {
  Role role = Role::left;
  Movement movement = Movement::slice;
  AxisSet axes;
};

/// The looped form of an einsum (paper 3.3.2, figure 4): in place of an all-gather, the blocks of one operand go round
/// the ranks of a group, one window of `letter` multiplied while the next is under way; in place of a reduce-scatter,
/// the sums of the result's blocks do.
struct EinsumLoop {
  Role role = Role::right;
  AxisSet axes;
  char letter = '\0';
  /// The ranks of a group where the mesh's type fixes them, else 0.
  int ranks = 0;

  constexpr bool runs() const { return letter != '\0'; }
  /// Whether the blocks of this operand go round.
  constexpr bool is_of(int operand) const { return runs() && role == (operand == 0 ? Role::left : Role::right); }
  constexpr int products() const { return ranks; }
  constexpr int permutes() const { return ranks - 1; }
};

namespace detail {

/// Why an einsum cannot be planned as written: operand `operand` would have to move along `axis`, to be held by the
/// letter `letter`, or whole where there is none; or both operands are unreduced sums over `axis`; or it is marked to
/// move and need not, or cannot in a ring (2 is the result).
struct PlanFault {
  enum Kind { none, operand_must_move, operand_must_reorder, operand_must_reduce, operand_stays, no_ring } kind = none;
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
  /// What goes round during the contraction, if anything: then `operands` has its first window, or `produced` the block
  /// of the result that is left here.
  EinsumLoop loop;
  StaticVector<std::string_view, max_axes> axis_names;
  detail::PlanFault fault;

  /// All movements in their order.
  constexpr StaticVector<EinsumStep, 20> steps() const {
    StaticVector<EinsumStep, 20> list;
    for (int i = 0; i < operand_moves.size(); ++i)
      for (ReshardStep const& step : operand_moves[i].steps)
        list.push_back({i == 0 ? Role::left : Role::right, step.movement, step.axes});
    if (loop.runs()) list.push_back({loop.role, Movement::ring, loop.axes});
    for (ReshardStep const& step : result_move.steps) list.push_back({Role::result, step.movement, step.axes});
    return list;
  }

  /// The kinds of movement that reshard operands and result.
  constexpr MovementSet movements() const {
    MovementSet set;
    for (EinsumStep const& step : steps())
      if (step.movement != Movement::ring) set.add(step.movement);
    return set;
  }

  /// The collectives along the axis of this name: `plan_of<...>.over("data").total() == 0`.
  constexpr CollectiveCounts over(std::string_view axis) const {
    CollectiveCounts counts;
    for (EinsumStep const& step : steps())
      for (int i = 0; i < axis_names.size(); ++i)
        if (axis_names[i] == axis && step.axes.contains(i)) counts.add(step.movement);
    return counts;
  }
};

}  // namespace gshard
