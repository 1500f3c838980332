// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/recorded.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/einsum/chain.hpp>

namespace gshard {

namespace detail {

template <class Type>
inline constexpr bool is_recorded_handled = false;
template <class Operand, Handling How>
inline constexpr bool is_recorded_handled<Handled<Operand, How>> = AnyVar<Operand>;

template <class Type>
concept RecordedEinsumInput = AnyVar<Type> || is_recorded_handled<std::remove_cvref_t<Type>>;

/// The operand's tensor, marked as the operand is.
template <class Operand>
auto plain_einsum_operand(Operand const& operand) {
  if constexpr (AnyVar<Operand>) return operand.value();
  else return operand;
}
template <AnyVar Operand, Handling How>
auto plain_einsum_operand(Handled<Operand, How> const& operand) {
  return Handled<typename Operand::tensor_type, How>{operand.operand.value()};
}

template <class Operand>
using PlainOperand = decltype(plain_einsum_operand(std::declval<Operand const&>()));

template <class Operand>
auto einsum_slot_of(Operand const& operand) {
  if constexpr (is_recorded_handled<Operand>) return operand.operand.slot();
  else return slot_of(operand);
}

/// Each operand as it was given, or evaluated where it is not recorded.
template <class... Tensors, class... Operands>
auto recorded_operands(std::tuple<Tensors...> const& tensors, Operands const&... operands) {
  auto one = []<class Operand>(Operand const& operand, auto const& tensor) {
    if constexpr (RecordedEinsumInput<Operand>) return operand;
    else return marked_operand<Operand>(tensor);
  };
  return call_with(tensors, [&](auto const&... tensor) { return std::make_tuple(one(operands, tensor)...); });
}

/// As tape_of; operands may be marked.
template <class... Operands>
Tape& einsum_tape_of(Operands const&... operands) {
  Tape* tape = nullptr;
  auto join = [&]<class Operand>(Operand const& operand) {
    if constexpr (is_recorded_handled<Operand>) join_tape(tape, operand.operand.tape());
    else if constexpr (AnyVar<Operand>) join_tape(tape, operand.tape());
  };
  (join(operands), ...);
  return *tape;
}

/// The einsum whose result is the gradient of operand `Operand` of `Forward`: that operand's letters from those of the
/// result and of the other operand, declared with the operand's own spec. The planner then finds the all-reduce of data
/// parallelism and the reduce-scatter of sharded parameters by itself. Operands may move, and what went round in a ring
/// goes round again, where it can.
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

}  // namespace detail

/// An einsum with recorded operands: like Einsum, it waits for its result spec, then runs and is recorded.
template <FixedString Text, class... Operands>
class RecordedEinsum : public detail::UnevaluatedOperation {
 public:
  static constexpr bool is_recorded = true;
  using First = std::tuple_element_t<0, std::tuple<detail::OperandTensor<detail::PlainOperand<Operands>>...>>;

  explicit RecordedEinsum(Operands const&... operands) : operands_(operands...) {}

  /// The result with the spec that the plan propagates.
  auto eval() const { return run<void>(); }

  /// The result as `Spec` says; marked as `How` says.
  template <class Spec, Handling How = Handling::movable>
  auto eval_as() const {
    return run<detail::Marked<with_spec<First, Spec>, How>>();
  }

  template <AnyTensor Result>
  operator Var<Result>() const {
    return run<Result>();
  }
  template <AnyTensor Result>
  operator Result() const {
    return detail::refuse_as_plain<Result>();
  }

  /// The result as the tensor type `Result`, marked or not, says; void for none.
  template <class Result>
  auto run() const {
    using Plan = detail::PlanOf<Text, Result, detail::PlainOperand<Operands>...>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      Tape& tape = detail::call_with(
          operands_, [](auto const&... operands) -> Tape& { return detail::einsum_tape_of(operands...); });
      if constexpr (std::is_void_v<Result>) return Var<First>(tape, 0, First{});
      else return Var<detail::OperandTensor<Result>>(tape, 0, detail::OperandTensor<Result>{});
    } else {
      return detail::call_with(operands_, [](auto const&... operands) { return record<Plan, Result>(operands...); });
    }
  }

 private:
  template <class Plan, class Declared>
  static auto record(Operands const&... operands) {
    auto const tensors = std::make_tuple(
        detail::EinsumOperand<detail::PlainOperand<Operands>>::tensor(detail::plain_einsum_operand(operands))...);
    if constexpr (sizeof...(Operands) > 2) return Plan::run(tensors, detail::recorded_operands(tensors, operands...));
    else return record_pair<Plan, Declared>(tensors, operands...);
  }

  template <class Plan, class Declared, class Tensors>
  static auto record_pair(Tensors const& tensors, Operands const&... operands) {
    auto const result = detail::run_einsum<Text, Plan>(tensors);
    using Result = std::remove_const_t<decltype(result)>;
    auto const slots = std::make_tuple(detail::einsum_slot_of(operands)...);
    return detail::einsum_tape_of(operands...).record(result, [slots, tensors](Cotangent<Result> const& gradient) {
      using Produced = with_layout<First, detail::without_partial(Plan::plan.produced)>;
      auto const produced = detail::reshard_or_share<typename Produced::spec_type>(gradient);
      vjp<Plan, 0>(produced, slots, tensors);
      if constexpr (sizeof...(Operands) == 2) vjp<Plan, 1>(produced, slots, tensors);
    });
  }

  template <class Plan, int Operand, class Gradient, class Slots, class Tensors>
  static void vjp(Gradient const& gradient, Slots const& slots, Tensors const& tensors) {
    auto const& slot = std::get<Operand>(slots);
    if constexpr (detail::wants_gradient<decltype(slot)>) {
      auto const& own = std::get<Operand>(tensors);
      using Tensor = std::remove_cvref_t<decltype(own)>;
      if constexpr (sizeof...(Operands) == 1)
        slot.add_part(detail::produced_by<detail::PlannedGradient<Plan, Operand, Tensor>>(own.extents(), gradient));
      else {
        auto const& other = std::get<1 - Operand>(tensors);
        using Other = std::remove_cvref_t<decltype(other)>;
        slot.add_part(
            detail::produced_by<detail::PlannedGradient<Plan, Operand, Tensor, Other>>(own.extents(), gradient, other));
      }
    }
  }

  std::tuple<Operands...> operands_;
};

/// An einsum of which some operands are recorded: computed as of tensors, and recorded when its result spec is known.
/// Its gradients are einsums with plans of their own (PlannedGradient).
template <FixedString Text, class... Operands>
  requires(detail::RecordedEinsumInput<Operands> || ...)
auto einsum(Operands const&... operands) {
  return RecordedEinsum<Text, Operands...>(operands...);
}

/// A recorded einsum whose result circulates: it waits for its result spec.
template <FixedString Text, class... Operands>
struct Handled<RecordedEinsum<Text, Operands...>, Handling::circulating> {
  RecordedEinsum<Text, Operands...> operand;

  template <AnyTensor Result>
  operator Var<Result>() const {
    return operand.template run<Handled<Result, Handling::circulating>>();
  }
};

/// The recorded einsum with its result held as `Spec` says.
template <class Spec, FixedString Text, class... Operands>
auto shard(RecordedEinsum<Text, Operands...> const& einsum) {
  return einsum.template eval_as<Spec>();
}

template <class Spec, FixedString Text, class... Operands>
auto shard(Circulating<RecordedEinsum<Text, Operands...>> const& einsum) {
  return einsum.operand.template eval_as<Spec, Handling::circulating>();
}

/// The recorded einsum with the spec that its plan propagates.
template <FixedString Text, class... Operands>
auto eval(RecordedEinsum<Text, Operands...> const& einsum) {
  return einsum.eval();
}

/// A recorded tensor is computed already.
template <AnyTensor Tensor>
Var<Tensor> const& eval(Var<Tensor> const& var) {
  return var;
}

}  // namespace gshard
