// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/einsum/errors.hpp>
#include <gshard/einsum/execute.hpp>
#include <gshard/einsum/gradient.hpp>
#include <gshard/einsum/operand.hpp>
#include <gshard/einsum/planner.hpp>
#include <gshard/expr/update.hpp>
#include <gshard/reshard/reshard.hpp>

// Einsums of one or two operands with a plan: how they run, and their gradients.

namespace gshard::detail {

/// Returns the facts of an einsum without a declared result. Precondition: EinsumTypesMistake is void.
template <FixedString Text, class... Operands>
consteval EinsumFacts einsum_facts() {
  using Mesh = typename std::tuple_element_t<0, std::tuple<OperandTensor<Operands>...>>::mesh_type;
  EinsumFacts facts = facts_on<Mesh>(subscripts_for<Text, OperandTensor<Operands>...>);
  facts.fixed = extents_fixed_by<Text, OperandTensor<Operands>...>();
  (facts.operands.push_back(OperandTensor<Operands>::layout), ...);
  (facts.handling.push_back(handling_of<Operands>), ...);
  return facts;
}

/// Returns the facts of an einsum with the result declared as `Result`. Precondition: EinsumTypesMistake is void.
template <FixedString Text, class Result, class... Operands>
consteval EinsumFacts declared_facts() {
  EinsumFacts facts = einsum_facts<Text, Operands...>();
  facts.declared = OperandTensor<Result>::layout;
  facts.result_handling = result_handling_of<Result>;
  return facts;
}

/// Returns the plan; an empty one if the types have a mistake.
template <FixedString Text, class Result, class... Operands>
consteval EinsumPlan planned() {
  if constexpr (!std::is_void_v<EinsumTypesMistake<Text, DeclaredTensor<Result>, OperandTensor<Operands>...>>)
    return {};
  else if constexpr (std::is_void_v<Result>) return plan_einsum(einsum_facts<Text, Operands...>());
  else return plan_einsum(declared_facts<Text, Result, Operands...>());
}

/// Mesh type of an einsum: that of its first operand.
template <class... Operands>
using MeshOf = typename std::tuple_element_t<0, std::tuple<OperandTensor<Operands>...>>::mesh_type;

/// Spec of a declared result; the spec of layout `Propagated` if `Result` is void.
template <class Result, class Mesh, Layout Propagated>
struct DeclaredSpec {
  using type = typename OperandTensor<Result>::spec_type;
};
template <class Mesh, Layout Propagated>
struct DeclaredSpec<void, Mesh, Propagated> {
  using type = spec_of<Mesh, Propagated>;
};

/// Names the plan of an einsum by types. `Result` is the declared tensor type, marked or not, or void.
/// Templates take these types, not the plan, as arguments: this keeps symbols short.
template <FixedString Text, class Result, class... Operands>
struct Planned {
  static constexpr Subscripts subscripts = subscripts_for<Text, OperandTensor<Operands>...>;
  static constexpr EinsumPlan plan = planned<Text, Result, Operands...>();
  static constexpr StaticVector<Handling, 2> handling{handling_of<Operands>...};
  static constexpr Handling result_handling = result_handling_of<Result>;
  /// Spec of the result, with the extents that the types fix.
  using result_spec = with_extents_of<typename DeclaredSpec<Result, MeshOf<Operands...>, plan.result>::type,
                                      FixedResult<Text, OperandTensor<Operands>...>>;
  /// Error class of the first mistake in the types; void if there is none. Code that runs a refused plan instantiates
  /// this class, and returns a default-constructed result so that no further errors follow.
  using mistake = typename FirstMistake<EinsumTypesMistake<Text, DeclaredTensor<Result>, OperandTensor<Operands>...>,
                                        PlanMistake<Text, plan.fault, MeshOf<Operands...>>>::type;
  static constexpr bool is_refused = !std::is_void_v<mistake>;
};

/// Returns the plan; does not compile if the plan type has a mistake.
template <class Plan>
consteval auto const& checked_plan() {
  if constexpr (Plan::is_refused) {
    using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
  }
  return Plan::plan;
}

/// Returns an einsum of tensors like `Tensor` as a value; `Plan` has its subscripts and its plan.
template <class Plan, AnyTensor Tensor>
auto planned_einsum(EinsumName const& name = {}) {
  using Space = typename Tensor::memory_space;
  using T = typename Tensor::value_type;
  PlannedEinsum<Space, T> einsum{
      name,   Plan::subscripts, Plan::plan, Tensor::mesh_type::names, movers_of<Space, T, Plan::plan.movements()>,
      nullptr};
  if constexpr (Plan::plan.loop.runs()) einsum.contract = &contract_in_ring<Space, T>;
  else einsum.contract = &contract_blocks<Space, T>;
  return einsum;
}

/// Returns pointers to the handles of `tensors`, valid as long as these.
template <class... Tensors>
std::array<TensorHandle const*, sizeof...(Tensors)> handles_of(Tensors const&... tensors) {
  return {&tensors.handle()...};
}

/// Runs a plan of one or two operands and returns its result. `Text` names the einsum in messages.
template <FixedString Text, class Plan, AnyTensor First, AnyTensor... Rest>
auto run_einsum(First const& first, Rest const&... rest) {
  using Result = with_spec<First, typename Plan::result_spec>;
  return Result(run_einsum(planned_einsum<Plan, First>({Text.view()}), handles_of(first, rest...), Result::type));
}

/// Returns what the contraction of a plan leaves, before the result moves; `extents` are the global extents of the
/// result.
template <class Plan, AnyTensor First, AnyTensor... Rest>
auto produced_by(Extents const& extents, First const& first, Rest const&... rest) {
  TensorHandle const* const operands[] = {&first.handle(), &rest.handle()...};
  return with_layout<First, Plan::plan.produced>(produced_by(planned_einsum<Plan, First>(), operands, extents));
}

/// Runs a plan into an existing tensor; adds to it if `add`. Works in place if nothing moves after the contraction and
/// `result` shares no storage with an operand, else through a temporary of the result.
template <FixedString Text, class Plan, AnyTensor Result, AnyTensor... Operands>
void run_einsum_into(Result const& result, bool add, Operands const&... operands) {
  auto const einsum = planned_einsum<Plan, Result>({Text.view()});
  auto const handles = handles_of(operands...);
  if (contracts_in_place(einsum, handles, *result.handle())) return produce(einsum, handles, *result.handle(), add);
  Result const value(run_einsum(einsum, handles, Result::type));
  if (add) assign(result, result + value);
  else copy_elements<typename Result::memory_space>(result.data(), value.data(), value.local_size());
}

/// Einsum of one or two operands with the plan of a declared result, as an operation with a gradient.
template <FixedString Text, class Plan>
struct PlannedEinsumOperation {
  template <int Operand>
  static constexpr Reads reads = Plan::subscripts.operands.size() == 2 ? Reads::operand(1 - Operand) : Reads::nothing();

  auto forward(AnyTensor auto const&... operands) const { return run_einsum<Text, Plan>(operands...); }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    using First = std::remove_cvref_t<decltype(gradient)>;
    using Produced = with_layout<First, without_partial(Plan::plan.produced)>;
    auto const produced = reshard_or_share<typename Produced::spec_type>(gradient);
    call_with(saved.operands, [&](auto const&... operands) {
      [&]<int... Position>(std::integer_sequence<int, Position...>) {
        (add_gradient<Position>(produced, std::get<Position>(gradients), operands...), ...);
      }(std::make_integer_sequence<int, static_cast<int>(sizeof...(operands))>{});
    });
  }

 private:
  template <int Operand, class Produced, class Target, class A>
  static void add_gradient(Produced const& gradient, Target const& target, A const& a) {
    using Gradient = PlannedGradient<Plan, Operand, typename Target::tensor_type>;
    target.add_part(produced_by<Gradient>(a.extents(), gradient));
  }

  template <int Operand, class Produced, class Target, class A, class B>
  static void add_gradient(Produced const& gradient, Target const& target, A const& a, B const& b) {
    if constexpr (is_wanted<Target>) {
      auto const& own = std::get<Operand>(std::tie(a, b));
      auto const& other = std::get<1 - Operand>(std::tie(a, b));
      using Gradient =
          PlannedGradient<Plan, Operand, typename Target::tensor_type, std::remove_cvref_t<decltype(other)>>;
      target.add_part(produced_by<Gradient>(own.extents(), gradient, other));
    }
  }
};

}  // namespace gshard::detail
