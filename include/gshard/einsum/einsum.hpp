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

/// Names the plan of an einsum of more than two operands, as Planned does for one or two. Defined in chain.hpp.
template <FixedString Text, class Result, class... Operands>
struct Chain;

/// Chain or Planned, by the number of operands.
template <FixedString Text, class Result, class... Operands>
using PlanOf =
    std::conditional_t<(sizeof...(Operands) > 2), Chain<Text, Result, Operands...>, Planned<Text, Result, Operands...>>;

/// Returns the plan type of operand types, which the declared result type may follow.
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

/// Returns pointers to the handles in `tensors`, valid as long as `tensors`.
template <class... Tensors>
std::array<TensorHandle const*, sizeof...(Tensors)> handles_of(std::tuple<Tensors...> const& tensors) {
  return call_with(tensors, [](auto const&... tensor) { return std::array{&tensor.handle()...}; });
}

/// Runs a plan of one or two operands and returns its result. `Text` names the einsum in messages.
template <FixedString Text, class Plan, AnyTensor First, AnyTensor... Rest>
auto run_einsum(std::tuple<First, Rest...> const& operands) {
  using Result = with_spec<First, typename Plan::result_spec>;
  return Result(run_einsum(planned_einsum<Plan, First>({Text.view()}), handles_of(operands), Result::type));
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

/// Plan of an einsum of these operand types, which the declared result type may follow: `plan_of<"gsec,gsm->egcm",
/// decltype(mask), decltype(x), decltype(sent)>`.
/// A constant to print and to assert: an EinsumPlan for one or two operands, a ChainPlan for more. Marked types are
/// `Movable<Tensor>`, `Gathered<Tensor>`, `Circulating<Tensor>`.
/// Does not compile if the einsum does not.
template <FixedString Text, class... Types>
inline constexpr auto plan_of =
    detail::checked_plan<decltype(detail::planned_types<Text, std::remove_cvref_t<Types>...>())>();

/// Deferred einsum: runs once the layout of its result is known. Returned by `einsum`.
/// Assigned to a tensor type, or given to `shard<Spec>`: that spec is the annotation of the result. Given to `eval` or
/// to an operation: the layout is propagated.
/// The constructor evaluates operands that are expressions. Each conversion or call of `eval` runs the einsum again;
/// results are not cached.
template <FixedString Text, class... Operands>
class Einsum : public detail::UnevaluatedOperation {
 public:
  static constexpr bool is_deferred = true;

  using First = std::tuple_element_t<0, std::tuple<detail::OperandTensor<Operands>...>>;

  /// Evaluates the operands and stores them; contracts nothing.
  explicit Einsum(Operands const&... operands) : operands_(detail::EinsumOperand<Operands>::tensor(operands)...) {}

  /// Returns the result in the propagated layout: every letter stays split over the axes that the contraction splits it
  /// over. Sums over contracted letters are reduced; an unreduced sum of an operand stays partial, if the plan passes
  /// it on.
  /// Throws StateError, MeshError or ExtentError, as `einsum` says.
  auto eval() const { return run<void>(); }

  /// Returns the result with spec `Spec`. `How` is `circulating` to reduce-scatter in a ring.
  template <class Spec, Handling How = Handling::movable>
  auto eval_as() const {
    return run<detail::Marked<with_spec<First, Spec>, How>>();
  }

  /// Returns the result with the spec of `Result`.
  template <AnyTensor Result>
  operator Result() const {
    return run<Result>();
  }

  /// Checks that an existing tensor can take the result.
  /// Throws StateError if a tensor is unset, MeshError if the tensors live on two meshes, and ExtentError if the
  /// extents of `result` or of one letter differ.
  template <AnyTensor Result>
  void check_result(Result const& result) const {
    constexpr detail::EinsumName name{Text.view()};
    constexpr Subscripts const& subscripts = detail::subscripts_for<Text, detail::OperandTensor<Operands>...>;
    detail::check_result_tensor(name, {"result", result},
                                detail::result_extents(name, subscripts, detail::handles_of(operands_)),
                                {"operand 0", std::get<0>(operands_)});
  }

  /// Sets the elements of `result` to the einsum, or adds the einsum to them if `add`. The spec of `result` is the
  /// annotation; `How` is its mark.
  /// Throws as `check_result` does.
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

  /// Returns the result with the spec of `Result`, a tensor type, marked or not; propagates the layout if `Result` is
  /// void.
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

/// Returns the deferred sum of products that `Text` spells: `einsum<"gsec,gsm->egcm">(mask, x)` is `y[e,g,c,m] = sum_s
/// mask[g,s,e,c] * x[g,s,m]`.
/// Letters that the result lacks are summed over. A letter twice in one operand takes its diagonal. `...` stands for
/// dimensions without a letter (see `subscripts_of`).
/// Communication: as `plan_of<Text, ...>` lists. A result is communicated as its declared type demands, an operand only
/// if it is marked (`movable`, `gathered`, `circulating`). `explain` gives the bytes per rank.
/// Does not compile if the types of the operands do not fit `Text`, or if an unmarked operand would have to be
/// communicated.
/// When it runs, throws ExtentError if a letter has two extents, MeshError if the operands live on two meshes, and
/// StateError if an operand is unset; on all ranks alike.
/// Source: paper 3.3.2.
template <FixedString Text, class A>
  requires EinsumInput<A>
auto einsum(A const& a) {
  return Einsum<Text, A>(a);
}

/// Returns the deferred einsum of two operands.
template <FixedString Text, class A, class B>
  requires EinsumInput<A> && EinsumInput<B>
auto einsum(A const& a, B const& b) {
  return Einsum<Text, A, B>(a, b);
}

/// Einsum marked by `circulating`: runs when it is assigned to a result type, and reduce-scatters in a ring.
template <FixedString Text, class... Operands>
struct Handled<Einsum<Text, Operands...>, Handling::circulating> {
  Einsum<Text, Operands...> operand;

  /// Returns the result with the spec of `Result`.
  template <AnyTensor Result>
  operator Result() const {
    return operand.template run<Handled<Result, Handling::circulating>>();
  }
};

/// Runs an einsum with its result annotated by `Spec` (the paper's `shard`), and returns the result.
template <class Spec, FixedString Text, class... Operands>
auto shard(Einsum<Text, Operands...> const& einsum) {
  return einsum.template eval_as<Spec>();
}

/// Runs an einsum that circulates, with its result annotated by `Spec`, and returns the result.
template <class Spec, FixedString Text, class... Operands>
auto shard(Circulating<Einsum<Text, Operands...>> const& einsum) {
  return einsum.operand.template eval_as<Spec, Handling::circulating>();
}

/// Sets the elements of `y`, whose spec is the annotation, to the einsum. Does not read the elements of `y`, unless `y`
/// is an operand. Writes in place if nothing moves after the contraction.
/// Throws StateError, MeshError or ExtentError as `einsum` says, or if `y` does not fit the result.
template <AnyTensor Result, FixedString Text, class... Operands>
void assign(Result const& y, Einsum<Text, Operands...> const& einsum) {
  einsum.into(y, false);
}

/// Adds the einsum to the elements of `y`, whose spec is the annotation. Accumulates in the local matrix product if
/// nothing moves after the contraction.
/// A `y` of `Spec<_, _, partial("x")>` collects products that are unreduced over "x", to be reduced once in the end.
/// Throws as `assign` does.
template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator+=(Result const& y, Einsum<Text, Operands...> const& einsum) {
  einsum.into(y, true);
  return y;
}

/// Subtracts the einsum from the elements of `y`, through a temporary of the spec of `y`. Throws as `assign` does.
template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator-=(Result const& y, Einsum<Text, Operands...> const& einsum) {
  einsum.check_result(y);
  return y -= einsum.template eval_as<typename Result::spec_type>();
}

/// Sets the elements of `y` to an einsum that circulates. Throws as `assign` of an einsum does.
template <AnyTensor Result, FixedString Text, class... Operands>
void assign(Result const& y, Circulating<Einsum<Text, Operands...>> const& einsum) {
  einsum.operand.template into<Handling::circulating>(y, false);
}

/// Adds an einsum that circulates to the elements of `y`. Throws as `assign` does.
template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator+=(Result const& y, Circulating<Einsum<Text, Operands...>> const& einsum) {
  einsum.operand.template into<Handling::circulating>(y, true);
  return y;
}

/// Subtracts an einsum that circulates from the elements of `y`, through a temporary. Throws as `assign` does.
template <AnyTensor Result, FixedString Text, class... Operands>
Result const& operator-=(Result const& y, Circulating<Einsum<Text, Operands...>> const& einsum) {
  einsum.operand.check_result(y);
  return y -= shard<typename Result::spec_type>(einsum);
}

}  // namespace gshard
