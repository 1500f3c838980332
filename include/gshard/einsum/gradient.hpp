// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/var.hpp>
#include <gshard/einsum/planner.hpp>

namespace gshard::detail {

/// Einsum whose result is the gradient of operand `Operand` of the einsum `Forward`: the letters of that operand from
/// those of the result and of the other operand, declared with the spec of that operand. Operands may move, and what
/// went round in a ring goes round again, where it can.
template <class Forward, int Operand, AnyTensor Tensor, AnyTensor... Others>
struct PlannedGradient {
  static consteval Subscripts letters() {
    Subscripts result;
    result.operands.push_back(Forward::subscripts.result);
    if constexpr (sizeof...(Others) == 1) result.operands.push_back(Forward::subscripts.operands[1 - Operand]);
    result.result = Forward::subscripts.operands[Operand];
    return result;
  }

  static consteval EinsumPlan planned_gradient() {
    auto at_least_movable = [](Handling handling) {
      return handling == Handling::fixed ? Handling::movable : handling;
    };
    EinsumFacts facts = facts_on<typename Tensor::mesh_type>(letters());
    facts.operands.push_back(without_partial(Forward::plan.produced));
    facts.handling.push_back(at_least_movable(Forward::result_handling));
    (facts.operands.push_back(Others::layout), ...);
    if constexpr (sizeof...(Others) == 1) facts.handling.push_back(at_least_movable(Forward::handling[1 - Operand]));
    facts.declared = Cotangent<Tensor>::layout;
    facts.result_handling = Forward::handling[Operand];
    facts.strict = false;
    return plan_einsum(facts);
  }

  static constexpr Subscripts subscripts = letters();
  static constexpr EinsumPlan plan = planned_gradient();
};

}  // namespace gshard::detail
