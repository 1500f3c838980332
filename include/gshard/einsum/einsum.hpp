// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/core/call_with.hpp>
#include <gshard/einsum/errors.hpp>
#include <gshard/einsum/execute.hpp>
#include <gshard/einsum/operand.hpp>
#include <gshard/einsum/planner.hpp>
#include <gshard/expr/update.hpp>
#include <gshard/reshard/reshard.hpp>

namespace gshard {

namespace detail {

/// The facts of an einsum of whose types EinsumTypesMistake has nothing to say.
template <FixedString Text, class... Operands>
consteval EinsumFacts einsum_facts() {
  using Mesh = typename std::tuple_element_t<0, std::tuple<OperandTensor<Operands>...>>::mesh_type;
  EinsumFacts facts = facts_on<Mesh>(subscripts_for<Text, OperandTensor<Operands>...>);
  facts.fixed = extents_fixed_by<Text, OperandTensor<Operands>...>();
  (facts.operands.push_back(OperandTensor<Operands>::layout), ...);
  (facts.handling.push_back(handling_of<Operands>), ...);
  return facts;
}

/// The same with the result declared.
template <FixedString Text, class Result, class... Operands>
consteval EinsumFacts declared_facts() {
  EinsumFacts facts = einsum_facts<Text, Operands...>();
  facts.declared = OperandTensor<Result>::layout;
  facts.result_handling = result_handling_of<Result>;
  return facts;
}

template <FixedString Text, class Result, class... Operands>
consteval EinsumPlan planned() {
  if constexpr (!std::is_void_v<EinsumTypesMistake<Text, DeclaredTensor<Result>, OperandTensor<Operands>...>>)
    return {};
  else if constexpr (std::is_void_v<Result>) return plan_einsum(einsum_facts<Text, Operands...>());
  else return plan_einsum(declared_facts<Text, Result, Operands...>());
}

template <class... Operands>
using MeshOf = typename std::tuple_element_t<0, std::tuple<OperandTensor<Operands>...>>::mesh_type;

/// The spec of a declared result, or where it is void that of `Propagated`.
template <class Result, class Mesh, Layout Propagated>
struct DeclaredSpec {
  using type = typename OperandTensor<Result>::spec_type;
};
template <class Mesh, Layout Propagated>
struct DeclaredSpec<void, Mesh, Propagated> {
  using type = spec_of<Mesh, Propagated>;
};

/// Names the plan of an einsum by types; `Result` is the declared tensor type, marked or not, or void. Types, not
/// plans, are what templates are given: symbols stay short.
template <FixedString Text, class Result, class... Operands>
struct Planned {
  static constexpr Subscripts subscripts = subscripts_for<Text, OperandTensor<Operands>...>;
  static constexpr EinsumPlan plan = planned<Text, Result, Operands...>();
  static constexpr StaticVector<Handling, 2> handling{handling_of<Operands>...};
  static constexpr Handling result_handling = result_handling_of<Result>;
  /// The spec of the result: extents that the types fix stay fixed.
  using result_spec = with_extents_of<typename DeclaredSpec<Result, MeshOf<Operands...>, plan.result>::type,
                                      FixedResult<Text, OperandTensor<Operands>...>>;
  /// What is wrong with the types; void for nothing. Who runs a plan has the compiler say it, and makes a result up.
  using mistake = typename FirstMistake<EinsumTypesMistake<Text, DeclaredTensor<Result>, OperandTensor<Operands>...>,
                                        PlanMistake<Text, plan.fault, MeshOf<Operands...>>>::type;
  static constexpr bool is_refused = !std::is_void_v<mistake>;
};

/// The same for more than two operands: in chain.hpp.
template <FixedString Text, class Result, class... Operands>
struct Chain;

template <FixedString Text, class Result, class... Operands>
using PlanOf =
    std::conditional_t<(sizeof...(Operands) > 2), Chain<Text, Result, Operands...>, Planned<Text, Result, Operands...>>;

/// The plan of operand types, which the declared result type may follow.
template <FixedString Text, class... Types>
consteval auto planned_types() {
  if constexpr (sizeof...(Types) > 1 && sizeof...(Types) == operand_count<Text> + 1) {
    using All = std::tuple<Types...>;
    constexpr std::size_t operands = sizeof...(Types) - 1;
    return []<std::size_t... Operand>(std::index_sequence<Operand...>) {
      return PlanOf<Text, std::tuple_element_t<operands, All>, std::tuple_element_t<Operand, All>...>{};
    }(std::make_index_sequence<operands>{});
  } else {
    return PlanOf<Text, void, Types...>{};
  }
}

/// The plan, or what is wrong.
template <class Plan>
consteval auto const& checked_plan() {
  if constexpr (Plan::is_refused) {
    using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
  }
  return Plan::plan;
}

/// An einsum of tensors like `Tensor` as a value; `Plan` has its subscripts and its plan.
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

template <class... Tensors>
std::array<TensorHandle const*, sizeof...(Tensors)> handles_of(std::tuple<Tensors...> const& tensors) {
  return call_with(tensors, [](auto const&... tensor) { return std::array{&tensor.handle()...}; });
}

/// Carries out a plan, of which `Text` is the einsum.
template <FixedString Text, class Plan, AnyTensor First, AnyTensor... Rest>
auto run_einsum(std::tuple<First, Rest...> const& operands) {
  using Result = with_spec<First, typename Plan::result_spec>;
  return Result(run_einsum(planned_einsum<Plan, First>({Text.view()}), handles_of(operands), Result::type));
}

/// What a plan's contraction leaves, before that moves; `extents` are those of the result.
template <class Plan, AnyTensor First, AnyTensor... Rest>
auto produced_by(Extents const& extents, First const& first, Rest const&... rest) {
  TensorHandle const* const operands[] = {&first.handle(), &rest.handle()...};
  return with_layout<First, Plan::plan.produced>(produced_by(planned_einsum<Plan, First>(), operands, extents));
}

/// Carries out a plan into a tensor that exists: in place, where nothing moves after the contraction and `result` is no
/// operand.
template <FixedString Text, class Plan, AnyTensor Result, class... Operands>
void run_einsum_into(Result const& result, bool add, std::tuple<Operands...> const& operands) {
  auto const einsum = planned_einsum<Plan, Result>({Text.view()});
  auto const handles = handles_of(operands);
  if (contracts_in_place(einsum, handles, *result.handle())) return produce(einsum, handles, *result.handle(), add);
  Result const value(run_einsum(einsum, handles, Result::type));
  if (add) assign(result, result + value);
  else copy_elements<typename Result::memory_space>(result.data(), value.data(), value.local_size());
}

}  // namespace detail

/// The plan of an einsum of these operand types, and the result type where it is declared:
/// `plan_of<"gsec,gsm->egcm", decltype(mask), decltype(x), decltype(sent)>`. A constant to print and to assert; marked
/// ones are `Movable<Tensor>`, `Gathered<Tensor>`, `Circulating<Tensor>`.
template <FixedString Text, class... Types>
inline constexpr auto plan_of =
    detail::checked_plan<decltype(detail::planned_types<Text, std::remove_cvref_t<Types>...>())>();

/// An einsum that waits to be told how its result is to be held: assign it to a tensor type, or `shard<Spec>(...)` it,
/// and the declared spec is the annotation; `eval(...)` it, or give it to an operation, and the spec is propagated.
template <FixedString Text, class... Operands>
class Einsum : public detail::UnevaluatedOperation {
 public:
  static constexpr bool is_deferred = true;

  using First = std::tuple_element_t<0, std::tuple<detail::OperandTensor<Operands>...>>;

  explicit Einsum(Operands const&... operands) : operands_(detail::EinsumOperand<Operands>::tensor(operands)...) {}

  /// The result as the plan propagates it: every letter stays on the axes that the contraction worked on, and sums are
  /// reduced.
  auto eval() const { return run<void>(); }

  /// The result as `Spec` says; marked as `How` says.
  template <class Spec, Handling How = Handling::movable>
  auto eval_as() const {
    return run<detail::Marked<with_spec<First, Spec>, How>>();
  }

  template <AnyTensor Result>
  operator Result() const {
    return run<Result>();
  }

  /// Throws where a tensor that is there already cannot take the result: StateError, MeshError or ExtentError.
  template <AnyTensor Result>
  void check_result(Result const& result) const {
    constexpr detail::EinsumName name{Text.view()};
    constexpr Subscripts const& subscripts = detail::subscripts_for<Text, detail::OperandTensor<Operands>...>;
    detail::check_result_tensor(name, {"result", result},
                                detail::result_extents(name, subscripts, detail::handles_of(operands_)),
                                {"operand 0", std::get<0>(operands_)});
  }

  /// Sets the elements of `result` as its spec says, or with `add` adds to them; marked as `How` says.
  template <Handling How = Handling::movable, AnyTensor Result>
  void into(Result const& result, bool add) const {
    using Plan = detail::PlanOf<Text, detail::Marked<Result, How>, Operands...>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
    } else if constexpr (sizeof...(Operands) > 2) {
      Plan::run_into(result, add, operands_);
    } else {
      check_result(result);
      detail::run_einsum_into<Text, Plan>(result, add, operands_);
    }
  }

  /// The result as the tensor type `Result`, marked or not, says; void for none.
  template <class Result>
  auto run() const {
    using Plan = detail::PlanOf<Text, Result, Operands...>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      if constexpr (std::is_void_v<Result>) return First{};
      else return detail::OperandTensor<Result>{};
    } else if constexpr (sizeof...(Operands) > 2) {
      return Plan::run(operands_);
    } else {
      return detail::run_einsum<Text, Plan>(operands_);
    }
  }

 private:
  std::tuple<detail::OperandTensor<Operands>...> operands_;
};

/// The sum of products that `Text` spells, as in `einsum<"gsec,gsm->egcm">(mask, x)`: letters of both operands that the
/// result lacks are contracted, and
/// `...` stands for dimensions without a letter (see subscripts_of).
/// What it communicates is `plan_of<Text, ...>`: a result moves as its declared type demands, an operand only where it
/// is `movable`. Throws ExtentError where a letter has two extents, MeshError where the operands live on two meshes.
/// Source: paper 3.3.2.
template <FixedString Text, class A>
  requires EinsumInput<A>
auto einsum(A const& a) {
  return Einsum<Text, A>(a);
}

template <FixedString Text, class A, class B>
  requires EinsumInput<A> && EinsumInput<B>
auto einsum(A const& a, B const& b) {
  return Einsum<Text, A, B>(a, b);
}

/// An einsum whose result circulates: it waits for its result spec.
template <FixedString Text, class... Operands>
struct Handled<Einsum<Text, Operands...>, Handling::circulating> {
  Einsum<Text, Operands...> operand;

  template <AnyTensor Result>
  operator Result() const {
    return operand.template run<Handled<Result, Handling::circulating>>();
  }
};

/// An einsum with its result declared by a spec: the paper's annotation on the spot.
template <class Spec, FixedString Text, class... Operands>
auto shard(Einsum<Text, Operands...> const& einsum) {
  return einsum.template eval_as<Spec>();
}

template <class Spec, FixedString Text, class... Operands>
auto shard(Circulating<Einsum<Text, Operands...>> const& einsum) {
  return einsum.operand.template eval_as<Spec, Handling::circulating>();
}

/// Sets the elements of `y`, whose spec is the annotation, to the einsum, in place where nothing moves after the
/// contraction. What `y` held is not read. Throws as eval does, and ExtentError or MeshError where `y` does not fit the
/// result.
template <AnyTensor Result, FixedString Text, class... Operands>
void assign(Result const& y, Einsum<Text, Operands...> const& einsum) {
  einsum.into(y, false);
}

/// Adds the einsum to the elements of `y`, whose spec is the annotation; as the matrix product's own accumulation where
/// nothing moves after it. An unreduced sum takes up what is unreduced over the same axes: `y` of `Spec<_, _,
/// partial("x")>` collects products and is reduced once.
template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator+=(Result const& y, Einsum<Text, Operands...> const& einsum) {
  einsum.into(y, true);
  return y;
}

template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator-=(Result const& y, Einsum<Text, Operands...> const& einsum) {
  einsum.check_result(y);
  return y -= einsum.template eval_as<typename Result::spec_type>();
}

template <AnyTensor Result, FixedString Text, class... Operands>
void assign(Result const& y, Circulating<Einsum<Text, Operands...>> const& einsum) {
  einsum.operand.template into<Handling::circulating>(y, false);
}

template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator+=(Result const& y, Circulating<Einsum<Text, Operands...>> const& einsum) {
  einsum.operand.template into<Handling::circulating>(y, true);
  return y;
}

template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator-=(Result const& y, Circulating<Einsum<Text, Operands...>> const& einsum) {
  einsum.operand.check_result(y);
  return y -= shard<typename Result::spec_type>(einsum);
}

}  // namespace gshard
