// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/autodiff/recipe.hpp>
#include <gshard/einsum/plan.hpp>
#include <gshard/expr/functions.hpp>

namespace gshard {

/// Tensor of an einsum, marked with how the einsum may communicate it.
template <class Operand, Handling How>
struct Handled {
  Operand operand;
};

/// Operand marked by `movable`.
template <class Operand>
using Movable = Handled<Operand, Handling::movable>;
/// Operand marked by `gathered`.
template <class Operand>
using Gathered = Handled<Operand, Handling::gathered>;
/// Operand marked by `in_ring`.
template <class Operand>
using InRing = Handled<Operand, Handling::in_ring>;

/// Marks an operand that an einsum may gather, exchange or reduce, such as fully sharded (ZeRO-3) weights:
/// `einsum<"ab,bc->ac">(x, movable(w))`.
/// Communication: none in this call; `plan_of` lists what the einsum does.
template <class Operand>
Movable<std::remove_cvref_t<Operand>> movable(Operand&& operand) {
  detail::refuse_named<Operand>();
  return {std::forward<Operand>(operand)};
}

/// Marks the operand to communicate, before the contraction, if the operands split different letters over an axis:
/// `einsum<"ab,bc->ac">(x, gathered(w))`.
/// The einsum does not compile (EinsumOperandStays) if no marked operand has to be communicated.
template <class Operand>
Gathered<std::remove_cvref_t<Operand>> gathered(Operand&& operand) {
  detail::refuse_named<Operand>();
  return {std::forward<Operand>(operand)};
}

/// Marks an operand to communicate in a ring during the contraction (collective matmul): replaces its all-gather, so
/// that no rank holds the operand whole; one permute per window, overlapped with the product of the window before. The
/// einsum does not compile (EinsumWithoutRing) if the replaced collective is not an all-gather of one dimension.
/// Source: paper 3.3.2, figure 4.
template <class Operand>
  requires(!AnyRecipe<Operand>)
InRing<std::remove_cvref_t<Operand>> in_ring(Operand&& operand) {
  detail::refuse_named<Operand>();
  return {std::forward<Operand>(operand)};
}

namespace detail {

template <class Type>
inline constexpr bool is_handled = false;
template <class Operand, Handling How>
inline constexpr bool is_handled<Handled<Operand, How>> = PointwiseOperand<Operand>;

template <class Operand, Handling How>
inline constexpr bool is_recorded_operand<Handled<Operand, How>> = AnyVar<Operand>;

}  // namespace detail

/// Satisfied by what an einsum accepts: a tensor, recorded or not, or an operation that has not run; marked or not.
template <class Type>
concept EinsumInput = PointwiseOperand<Type> || detail::is_handled<std::remove_cvref_t<Type>>;

namespace detail {

/// Returns an operand, evaluated if it is an operation that has not run, with its mark.
template <class Operand>
  requires(!is_handled<std::remove_cvref_t<Operand>>)
auto ready_operand(Operand&& operand) {
  return evaluated(std::forward<Operand>(operand));
}
template <class Operand, Handling How>
auto ready_operand(Handled<Operand, How> const& handled) {
  refuse_named<Operand const&>();
  auto ready = ready_operand(handled.operand);
  return Handled<decltype(ready), How>{std::move(ready)};
}
template <class Operand, Handling How>
auto ready_operand(Handled<Operand, How>&& handled) {
  auto ready = ready_operand(std::move(handled.operand));
  return Handled<decltype(ready), How>{std::move(ready)};
}

/// Type of an operand, evaluated, with its mark.
template <class Operand>
using ReadyOperand = decltype(ready_operand(std::declval<Operand>()));

/// Returns an operand without its mark.
template <class Operand>
Operand const& unmarked(Operand const& operand) {
  return operand;
}
template <class Operand, Handling How>
Operand const& unmarked(Handled<Operand, How> const& handled) {
  return handled.operand;
}

/// Type of the tensor of an operand; with the mark of the operand.
template <class Operand>
struct PlainOperandOf {
  using type = ValueTensor<Operand>;
};
template <class Operand, Handling How>
struct PlainOperandOf<Handled<Operand, How>> {
  using type = Handled<ValueTensor<Operand>, How>;
};
template <class Operand>
using PlainOperand = typename PlainOperandOf<Operand>::type;

/// Type of the tensor of an operand, without its mark.
template <class Operand>
struct OperandTensorOf {
  using type = ValueTensor<Operand>;
};
template <class Operand, Handling How>
struct OperandTensorOf<Handled<Operand, How>> {
  using type = ValueTensor<Operand>;
};

/// Tensor type of an operand, without its mark.
template <class Operand>
using OperandTensor = typename OperandTensorOf<std::remove_cvref_t<Operand>>::type;

/// Tensor type of a declared result, without its mark; void if the result is not declared.
template <class Result>
struct DeclaredTensorOf {
  using type = OperandTensor<Result>;
};
template <>
struct DeclaredTensorOf<void> {
  using type = void;
};
template <class Result>
using DeclaredTensor = typename DeclaredTensorOf<Result>::type;

/// Names a declared result and its mark by one type; a movable result has no mark.
template <class Tensor, Handling How>
using Marked = std::conditional_t<How == Handling::movable, Tensor, Handled<Tensor, How>>;

/// Mark of an operand type; `fixed` if it has none.
template <class Type>
inline constexpr Handling handling_of = Handling::fixed;
template <class Operand, Handling How>
inline constexpr Handling handling_of<Handled<Operand, How>> = How;

/// Mark of a declared result type; `movable` unless it is `in_ring`.
template <class Result>
inline constexpr Handling result_handling_of =
    handling_of<Result> == Handling::in_ring ? Handling::in_ring : Handling::movable;

}  // namespace detail
}  // namespace gshard
