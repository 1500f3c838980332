// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/einsum/plan.hpp>
#include <gshard/expr/expression.hpp>

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
/// Operand or einsum marked by `circulating`.
template <class Operand>
using Circulating = Handled<Operand, Handling::circulating>;

/// Marks an operand that an einsum may gather, exchange or reduce, such as fully sharded (ZeRO-3) weights:
/// `einsum<"ab,bc->ac">(x, movable(w))`.
/// Communication: none in this call; `plan_of` lists what the einsum does.
template <class Operand>
Movable<std::remove_cvref_t<Operand>> movable(Operand&& operand) {
  return {std::forward<Operand>(operand)};
}

/// Marks the operand to communicate, before the contraction, if the operands split different letters over an axis:
/// `einsum<"ab,bc->ac">(x, gathered(w))`.
/// The einsum does not compile (EinsumOperandStays) if no marked operand has to be communicated.
template <class Operand>
Gathered<std::remove_cvref_t<Operand>> gathered(Operand&& operand) {
  return {std::forward<Operand>(operand)};
}

/// Marks a tensor to communicate in a ring during the contraction (collective matmul).
/// An operand: replaces its all-gather, so that no rank holds the operand whole; one permute per window, overlapped
/// with the product of the window before.
/// An einsum: replaces the reduce-scatter of its result, `Y y = circulating(einsum<"ab,bc->ac">(x, w))`; the partial
/// sums of each block pass from rank to rank.
/// The einsum does not compile (EinsumWithoutRing) if the replaced collective is not an all-gather of one dimension, or
/// not a reduce-scatter to one dimension.
/// Source: paper 3.3.2, figure 4.
template <class Operand>
Circulating<std::remove_cvref_t<Operand>> circulating(Operand&& operand) {
  return {std::forward<Operand>(operand)};
}

namespace detail {

/// Whether a type is an expression with a mark.
template <class Type>
inline constexpr bool is_handled = false;
template <class Operand, Handling How>
inline constexpr bool is_handled<Handled<Operand, How>> = Expression<Operand>;

}  // namespace detail

/// Satisfied by what an einsum accepts: a tensor or an expression, marked or not.
template <class Type>
concept EinsumInput = Expression<Type> || detail::is_handled<std::remove_cvref_t<Type>>;

namespace detail {

/// Evaluates an operand to a tensor and removes its mark.
template <class Operand>
struct EinsumOperand {
  using tensor_type = std::remove_cvref_t<decltype(eval(std::declval<Operand const&>()))>;
  static tensor_type tensor(Operand const& operand) { return eval(operand); }
};

template <class Operand, Handling How>
struct EinsumOperand<Handled<Operand, How>> {
  using tensor_type = typename EinsumOperand<Operand>::tensor_type;
  static tensor_type tensor(Handled<Operand, How> const& handled) {
    return EinsumOperand<Operand>::tensor(handled.operand);
  }
};

/// Tensor type of an operand, without its mark.
template <class Operand>
using OperandTensor = typename EinsumOperand<std::remove_cvref_t<Operand>>::tensor_type;

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

/// Mark of a declared result type; `movable` unless it is `circulating`.
template <class Result>
inline constexpr Handling result_handling_of =
    handling_of<Result> == Handling::circulating ? Handling::circulating : Handling::movable;

}  // namespace detail
}  // namespace gshard
