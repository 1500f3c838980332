// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/recipe.hpp>
#include <gshard/core/call_with.hpp>
#include <gshard/einsum/chain.hpp>
#include <gshard/einsum/errors.hpp>
#include <gshard/einsum/operand.hpp>
#include <gshard/einsum/operation.hpp>
#include <gshard/einsum/result_extents.hpp>

namespace gshard {

namespace detail {

/// Returns a stand-in for the result of an einsum that a compile error has rejected.
template <class Declared, class... Operands>
auto stand_in_for_result(Operands const&... operands) {
  using First = std::tuple_element_t<0, std::tuple<OperandTensor<Operands>...>>;
  using Tensor = std::conditional_t<std::is_void_v<Declared>, First, DeclaredTensor<Declared>>;
  if constexpr ((is_recorded_operand<Operands> || ...)) return Var<Tensor>(tape_of(unmarked(operands)...), 0, Tensor{});
  else return Tensor{};
}

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

}  // namespace detail

/// Plan of an einsum of these operand types, which the declared result type may follow: `plan_of<"gsec,gsm->egcm",
/// decltype(mask), decltype(x), decltype(sent)>`.
/// A constant to print and to assert: an EinsumPlan for one or two operands, a ChainPlan for more. Marked types are
/// `Movable<Tensor>`, `Gathered<Tensor>`, `InRing<Tensor>`.
/// Does not compile if the einsum does not.
template <FixedString Text, class... Types>
inline constexpr auto plan_of =
    detail::checked_plan<decltype(detail::planned_types<Text, std::remove_cvref_t<Types>...>())>();

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
struct RingEinsum : Einsum<Text> {
  template <class Declared, class... Operands>
  auto run(Operands const&... operands) const {
    if constexpr (std::is_void_v<Declared>) {
      using Refused [[maybe_unused]] = decltype(error::RingResultUndeclared<detail::MeshOf<Operands...>>{});
      return Einsum<Text>::template run<void>(operands...);
    } else {
      return Einsum<Text>::template run<InRing<Declared>>(operands...);
    }
  }

  template <class Declared, AnyTensor Result, class... Operands>
  void run_into(Result const& result, bool add, Operands const&... operands) const {
    Einsum<Text>::template run_into<InRing<Declared>>(result, add, operands...);
  }
};

/// Returns the deferred sum of products that `Text` spells: `einsum<"gsec,gsm->egcm">(mask, x)` is `y[e,g,c,m] = sum_s
/// mask[g,s,e,c] * x[g,s,m]`.
/// Letters that the result lacks are summed over. A letter twice in one operand takes its diagonal. `...` stands for
/// dimensions without a letter (see `subscripts_of`).
/// Communication: as `plan_of<Text, ...>` lists. A result is communicated as its declared type demands, an operand only
/// if it is marked (`movable`, `gathered`, `in_ring`). `explain` gives the bytes per rank.
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
auto einsum(Operands&&... operands) {
  return Recipe<Einsum<Text>, detail::ReadyOperand<Operands>...>(
      {}, detail::ready_operand(std::forward<Operands>(operands))...);
}

/// Marks an einsum to reduce-scatter its declared result in a ring during the contraction (collective matmul),
/// `Y y = in_ring(einsum<"ab,bc->ac">(x, w))`: the partial sums of each block pass from rank to rank.
/// Does not compile (EinsumWithoutRing) if the replaced collective is not a reduce-scatter to one dimension.
/// Source: paper 3.3.2, figure 4.
template <FixedString Text, class... Operands>
auto in_ring(Recipe<Einsum<Text>, Operands...>&& einsum) {
  return detail::call_with(einsum.operands(), [](auto const&... operands) {
    return Recipe<RingEinsum<Text>, Operands...>({}, operands...);
  });
}
/// Does not compile: the einsum is given by its name.
template <FixedString Text, class... Operands>
auto in_ring(Recipe<Einsum<Text>, Operands...> const& einsum) {
  detail::refuse_named<decltype(einsum)>();
  return in_ring(Recipe<Einsum<Text>, Operands...>(einsum));
}

}  // namespace gshard
