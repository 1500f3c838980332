// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>

#include <gshard/einsum/chain_plan.hpp>
#include <gshard/einsum/plan.hpp>

namespace gshard {

/// Returns "left", "right" or "result".
constexpr char const* text_of(Role role) {
  switch (role) {
    case Role::left: return "left";
    case Role::right: return "right";
    default: return "result";
  }
}

/// Prints the movements of a plan in execution order, one per line, such as "result all-to-all over expert". Prints
/// "nothing moves" if there is none.
inline std::ostream& operator<<(std::ostream& stream, EinsumPlan const& plan) {
  auto const steps = plan.steps();
  if (steps.empty()) return stream << "nothing moves\n";
  for (EinsumStep const& step : steps) {
    stream << text_of(step.role) << ' ' << text_of(step.movement) << " over ";
    bool first = true;
    for (int axis = 0; axis < plan.axis_names.size(); ++axis) {
      if (!step.axes.contains(axis)) continue;
      stream << (first ? "" : ",") << plan.axis_names[axis];
      first = false;
    }
    stream << '\n';
  }
  return stream;
}

/// Prints each order of contraction that run-time extents may choose, separated by "or": the einsum of each step and
/// its movements.
inline std::ostream& operator<<(std::ostream& stream, ChainPlan const& plan) {
  for (int i = 0; i < plan.orders.size(); ++i) {
    if (plan.orders.size() > 1) stream << (i == 0 ? "" : "or\n");
    for (ChainStep const& step : plan.orders[i].steps) stream << step.text << '\n' << *step.plan;
  }
  return stream;
}

}  // namespace gshard
