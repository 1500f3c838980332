// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/recipe.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/einsum/errors.hpp>
#include <gshard/einsum/execute.hpp>
#include <gshard/einsum/gradient.hpp>
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

/// Returns a stand-in for the result of an einsum that a compile error has rejected.
template <class Declared, class... Operands>
auto stand_in_for_result(Operands const&... operands) {
  using First = std::tuple_element_t<0, std::tuple<OperandTensor<Operands>...>>;
  using Tensor = std::conditional_t<std::is_void_v<Declared>, First, DeclaredTensor<Declared>>;
  if constexpr ((is_recorded_operand<Operands> || ...)) return Var<Tensor>(tape_of(unmarked(operands)...), 0, Tensor{});
  else return Tensor{};
}

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
      return PlanOf<Text, std::tuple_element_t<operands, All>, PlainOperand<std::tuple_element_t<Operand, All>>...>{};
    }(std::make_index_sequence<operands>{});
  } else {
    return PlanOf<Text, void, PlainOperand<Types>...>{};
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

}  // namespace detail

/// Plan of an einsum of these operand types, which the declared result type may follow: `plan_of<"gsec,gsm->egcm",
/// decltype(mask), decltype(x), decltype(sent)>`.
/// A constant to print and to assert: an EinsumPlan for one or two operands, a ChainPlan for more. Marked types are
/// `Movable<Tensor>`, `Gathered<Tensor>`, `Circulating<Tensor>`.
/// Does not compile if the einsum does not.
template <FixedString Text, class... Types>
inline constexpr auto plan_of =
    detail::checked_plan<decltype(detail::planned_types<Text, std::remove_cvref_t<Types>...>())>();

namespace detail {

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

}  // namespace detail

/// The einsum that `Text` spells, for every declared result: the family of its Recipe.
template <FixedString Text>
struct Einsum {
  template <class First, class... Rest>
  using tensor = detail::OperandTensor<First>;

  /// Returns the result as `Declared` says: a tensor type, marked or not; propagates the layout if it is void.
  template <class Declared, class... Operands>
  auto run(Operands const&... operands) const {
    using Plan = detail::PlanOf<Text, Declared, detail::PlainOperand<Operands>...>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
      return detail::stand_in_for_result<Declared>(operands...);
    } else if constexpr (sizeof...(Operands) > 2) {
      return Plan::run(operands...);
    } else {
      return Differentiable<detail::PlannedEinsumOperation<Text, Plan>>{}(detail::unmarked(operands)...);
    }
  }

  /// Sets the elements of `result` to the einsum, or adds the einsum to them if `add`. Writes in place, and accumulates
  /// in the local matrix product, if nothing moves after the contraction.
  template <class Declared, AnyTensor Result, class... Operands>
  void run_into(Result const& result, bool add, Operands const&... operands) const {
    using Plan = detail::PlanOf<Text, Declared, Operands...>;
    if constexpr (Plan::is_refused) {
      using Refused [[maybe_unused]] = decltype(typename Plan::mistake{});
    } else {
      check_result(result, operands...);
      if constexpr (sizeof...(Operands) > 2) Plan::run_into(result, add, operands...);
      else detail::run_einsum_into<Text, Plan>(result, add, detail::unmarked(operands)...);
    }
  }

  /// Checks that an existing tensor can take the result.
  /// Throws StateError if a tensor is unset, MeshError if the tensors live on two meshes, and ExtentError if the
  /// extents of `result` or of one letter differ.
  template <AnyTensor Result, class First, class... Rest>
  void check_result(Result const& result, First const& first, Rest const&... rest) const {
    constexpr detail::EinsumName name{Text.view()};
    constexpr Subscripts const& subscripts =
        detail::subscripts_for<Text, detail::OperandTensor<First>, detail::OperandTensor<Rest>...>;
    detail::check_result_tensor(
        name, {"result", result},
        detail::result_extents(name, subscripts,
                               detail::handles_of(detail::unmarked(first), detail::unmarked(rest)...)),
        {"operand 0", detail::unmarked(first)});
  }
};

/// An einsum whose result is reduce-scattered in a ring (collective matmul): the family of its Recipe.
template <FixedString Text>
struct CirculatingEinsum : Einsum<Text> {
  template <class Declared, class... Operands>
  auto run(Operands const&... operands) const {
    if constexpr (std::is_void_v<Declared>) {
      using Refused [[maybe_unused]] = decltype(error::CirculatingResultUndeclared<detail::MeshOf<Operands...>>{});
      return Einsum<Text>::template run<void>(operands...);
    } else {
      return Einsum<Text>::template run<Circulating<Declared>>(operands...);
    }
  }

  template <class Declared, AnyTensor Result, class... Operands>
  void run_into(Result const& result, bool add, Operands const&... operands) const {
    Einsum<Text>::template run_into<Circulating<Declared>>(result, add, operands...);
  }
};

/// Returns the deferred sum of products that `Text` spells: `einsum<"gsec,gsm->egcm">(mask, x)` is `y[e,g,c,m] = sum_s
/// mask[g,s,e,c] * x[g,s,m]`.
/// Letters that the result lacks are summed over. A letter twice in one operand takes its diagonal. `...` stands for
/// dimensions without a letter (see `subscripts_of`).
/// Communication: as `plan_of<Text, ...>` lists. A result is communicated as its declared type demands, an operand only
/// if it is marked (`movable`, `gathered`, `circulating`). `explain` gives the bytes per rank.
/// Does not compile if the types of the operands do not fit `Text`, or if an unmarked operand would have to be
/// communicated.
/// More than two operands are contracted two at a time, `einsum<"ab,bc,cd->ad">(x, u, v)`, in the order with the fewest
/// multiplications, then the smallest intermediate products, then the first order found. The global extents decide, so
/// that all ranks agree, among all orders of up to four operands in which no unmarked operand has to be communicated.
/// With more operands, pairs whose product has the fewest letters are contracted first, until four remain. Intermediate
/// products have the layout that their plan propagates, and are communicated where the next contraction needs it;
/// `plan_of` lists every order. Does not compile if every order has an intermediate product of more than 8 dimensions.
/// Gradient: of each operand, the einsum of the gradient of the result and the other operand, declared with the spec of
/// that operand. The planner then finds the all-reduce of data parallelism and the reduce-scatter of fully sharded
/// (ZeRO-3) parameters. When it runs, throws ExtentError if a letter has two extents, MeshError if the operands live on
/// two meshes, and StateError if an operand is unset; on all ranks alike. Source: paper 3.3.2.
template <FixedString Text, EinsumInput... Operands>
auto einsum(Operands const&... operands) {
  return Recipe<Einsum<Text>, decltype(detail::ready_operand(operands))...>({}, detail::ready_operand(operands)...);
}

/// Marks an einsum to reduce-scatter its declared result in a ring during the contraction (collective matmul),
/// `Y y = circulating(einsum<"ab,bc->ac">(x, w))`: the partial sums of each block pass from rank to rank.
/// Does not compile (EinsumWithoutRing) if the replaced collective is not a reduce-scatter to one dimension.
/// Source: paper 3.3.2, figure 4.
template <FixedString Text, class... Operands>
auto circulating(Recipe<Einsum<Text>, Operands...> const& einsum) {
  return detail::call_with(einsum.operands(), [](auto const&... operands) {
    return Recipe<CirculatingEinsum<Text>, Operands...>({}, operands...);
  });
}

}  // namespace gshard
